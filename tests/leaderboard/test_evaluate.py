import json
import shutil

import pytest
import torch

from rmpe_spm.leaderboard import entries
from rmpe_spm.leaderboard import evaluate as running
from rmpe_spm.leaderboard.entries import WITHOUT_BOXES
from rmpe_spm.leaderboard.evaluate import first_failure
from rmpe_spm.leaderboard.spec import (
    BoxSource,
    LeaderboardSpec,
    ModelSpec,
    PublishedSpec,
    ResultsSpec,
)
from rmpe_spm.leaderboard.tables import build_tables


@pytest.fixture
def runs(monkeypatch):
    """The models that run, in order."""
    names = []
    original = running.run

    def spy(prepared, runner, folder):
        names.append(prepared.cfg.load_from)
        return original(prepared, runner, folder)

    monkeypatch.setattr(running, 'run', spy)
    return names


def test_runs_what_is_missing_and_no_more(
    write_model, evaluate, runs, run_args
):
    one, two = write_model('one'), write_model('two', seed=1)
    first = evaluate(*one)
    assert runs == [one[1]]
    both = evaluate(*one, *two)
    assert runs == [one[1], two[1]]
    assert [row.cached for row in both] == [True, False]
    assert both[0].record == first[0].record
    # other weights, under the same name
    write_model('one', seed=2)
    again = evaluate(*one, *two)
    assert runs == [one[1], two[1], one[1]]
    assert again[0].record.metrics != first[0].record.metrics
    # the same weights under another name
    shutil.copy(two[1], one[1])
    again = evaluate(*one)
    assert again[0].record.metrics == both[1].record.metrics
    assert len(runs) == 3
    run_args.rerun = True
    evaluate(*two)
    assert len(runs) == 4


def test_interruption_leaves_what_was_finished(
    write_model, evaluate, runs, monkeypatch, tmp_path
):
    one, two = write_model('one'), write_model('two', seed=1)
    original = running.run

    def interrupt(prepared, runner, folder):
        record = original(prepared, runner, folder)
        if prepared.cfg.load_from == two[1]:
            raise KeyboardInterrupt  # after the results, before the record
        return record

    monkeypatch.setattr(running, 'run', interrupt)
    with pytest.raises(KeyboardInterrupt):
        evaluate(*one, *two)
    monkeypatch.setattr(running, 'run', original)
    rows = evaluate(*one, *two)
    assert [row.cached for row in rows] == [True, False]
    assert runs == [one[1], two[1], two[1]]
    assert not list((tmp_path / 'work').rglob('*.part'))


def test_what_fails_is_a_row_and_the_others_go_on(
    write_model, evaluate, tmp_path
):
    good = write_model('good')
    broken = tmp_path / 'broken.pth'
    broken.write_bytes(b'no weights')
    foreign = tmp_path / 'foreign.pth'
    torch.save(dict(state_dict={'foo.weight': torch.ones(1)}), foreign)
    argv = ['no.py', good[1], good[0], 'no.pth', good[0], str(broken)]
    rows = evaluate(*argv, *good, good[0], str(foreign))
    reasons = [row.failure for row in rows]
    assert reasons[0] == 'the config no.py does not exist'
    assert reasons[1] == 'the checkpoint no.pth does not exist'
    assert 'broken.pth (10 bytes) is not a file of weights' in reasons[2]
    assert reasons[3] == ''
    assert 'foreign.pth lacks' in reasons[4]
    tables = build_tables(rows, 'AP', 50)
    assert len(tables) == 1
    missing = [row.record is None for row in tables[0].rows]
    assert missing == [False, True, True, True, True]
    # a failure is not kept
    shutil.copy(good[1], broken)
    assert evaluate(good[0], str(broken))[0].failure == ''


def test_files_of_results_and_published_rows(
    write_model, evaluate, easy_annotations, tmp_path
):
    """A file of results has the numbers of the run that wrote it."""
    (ran,) = evaluate(*write_model())
    (found,) = tmp_path.glob('work/runs/*/results.keypoints.json')
    of_file = dict(ann_file=str(easy_annotations), boxes='ground truth')
    spec = LeaderboardSpec(
        (),
        results=(
            ResultsSpec('other', str(found), **of_file, data_set='easy'),
            ResultsSpec('lost', 'no.json', **of_file, data_set='easy'),
        ),
        published=(
            PublishedSpec('paper', {'AP': 0.9}, 'a', 'easy', 'table 3'),
        ),
    )
    rows = [ran, *evaluate(spec)]
    _, other, lost, _ = rows
    assert other.metrics == pytest.approx(ran.metrics)
    assert lost.failure == 'there is no file no.json'
    (table,) = build_tables(rows, 'AP', 50)
    paper, one, two, _ = table.rows
    assert (paper.label, paper.interval) == ('paper (published)', None)
    assert {one.label, two.label} == {'tiny', 'other (result file)'}
    assert one.interval == two.interval is not None
    assert table.comparisons[1, 2].difference == 0


def test_error_within_a_run_names_its_place(
    write_model, evaluate, monkeypatch
):
    def fail(*_):
        raise RuntimeError('out of something\nmore')

    monkeypatch.setattr(running, 'run', fail)
    (row,) = evaluate(*write_model())
    assert row.failure.startswith('RuntimeError: out of something (')
    assert 'test_evaluate.py:' in row.failure


@pytest.mark.parametrize('label', WITHOUT_BOXES)
def test_a_model_without_boxes_runs_once(
    write_model, evaluate, monkeypatch, label
):
    monkeypatch.setattr(entries, 'apply_box_source', lambda *_: label)
    monkeypatch.setattr(running, '_run', lambda *_: None)
    rows = evaluate(*write_model(), boxes=['config', 'ground_truth'])
    assert [row.boxes for row in rows] == [label]


def test_perturbed_boxes_of_mpii(write_model, mpii, evaluate, tmp_path):
    """And the interval of its metric, from the matches that are kept."""
    found = tmp_path / 'found.json'
    entry = dict(category_id=1, score=0.9)
    found.write_text(
        json.dumps(
            [
                dict(entry, image_id=i, bbox=[5.0, 25.0, 190.0, 210.0])
                for i in range(1, 5)
            ]
        )
    )
    sources = [BoxSource('ground_truth'), BoxSource('detections', str(found))]
    sources += [
        BoxSource('perturbed', error=kind, size=size)
        for kind, size in (('shift', 0.0), ('truncation', 0.3))
    ]
    sources += [
        BoxSource('perturbed', str(found), error='amplification', size=size)
        for size in (0.0, 1.0, 2.0)
    ]
    model = write_model('m', **{'model.head.out_channels': 16})
    spec = LeaderboardSpec((ModelSpec('m', *model),), (mpii(*sources),))
    rows = evaluate(spec)
    assert [row.failure for row in rows] == [''] * 7
    values = [row.record.metrics for row in rows]
    truth, detected, shift, truncation, _, same, _ = values
    assert shift == truth != truncation
    assert same == detected
    (table,) = build_tables(rows[:1], 'AP', 50)
    (row,) = table.rows
    assert row.interval[0] <= row.metrics['Total'] <= row.interval[1]
    assert 0 < row.metrics['Total'] < 100
    # the square of 200 x scale about the first person is (20, 52, 160, 160)
    for factor, bbox in (
        (0, [20, 52, 160, 160]),
        (1, [5, 25, 190, 210]),
        (2, [-10, -2, 220, 260]),
    ):
        (path,) = tmp_path.glob(f'work/boxes/mpii-amplification-{factor}-*')
        assert json.loads(path.read_text())[0]['bbox'] == pytest.approx(bbox)


@pytest.mark.parametrize(
    'found, expected',
    [
        (['', '', ''], ''),
        (['', 'broken', 'late'], 'process 1: broken'),
        (['broken', '', ''], 'process 0: broken'),
        (['broken', 'broken too', 'and this'], 'broken'),
    ],
)
def test_the_first_failure_is_told(monkeypatch, found, expected):
    monkeypatch.setattr(running, 'all_gather_object', lambda failure: found)
    assert first_failure(found[0]) == expected
