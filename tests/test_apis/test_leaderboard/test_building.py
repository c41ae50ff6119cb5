import importlib.util
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from rmpe_spm.apis.leaderboard import building, entries
from rmpe_spm.apis.leaderboard.box_sources import WITHOUT_BOXES, BoxSource
from rmpe_spm.apis.leaderboard.building import (
    build_tables,
    evaluate_all,
    write_tables,
)
from rmpe_spm.apis.leaderboard.listing import (
    DataSetSpec,
    Listing,
    ModelSpec,
    listing_of_pairs,
)

_spec = importlib.util.spec_from_file_location(
    'mpii_files', Path(__file__).parents[2] / 'test_datasets/mpii_files.py'
)
mpii_files = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(mpii_files)


@pytest.fixture
def runs(monkeypatch):
    """The models that run, in order."""
    names = []
    original = building.run

    def spy(prepared, runner, folder):
        names.append(prepared.cfg.load_from)
        return original(prepared, runner, folder)

    monkeypatch.setattr(building, 'run', spy)
    return names


@pytest.fixture
def evaluate(run_args, tmp_path):
    def evaluate(*paths, boxes=None):
        listing = listing_of_pairs(paths, boxes)
        return evaluate_all(listing, run_args, tmp_path / 'work', _quiet)

    return evaluate


def _quiet(text):
    pass


def test_runs_what_is_missing_and_no_more(
    write_model, evaluate, runs, run_args
):
    one, two = write_model('one'), write_model('two', seed=1)
    first = evaluate(*one)
    assert runs == [one[1]]
    both = evaluate(*one, *two)
    assert runs == [one[1], two[1]]
    assert [outcome.cached for outcome in both] == [True, False]
    assert both[0].row.record == first[0].row.record
    # other weights, under the same name
    write_model('one', seed=2)
    again = evaluate(*one, *two)
    assert runs == [one[1], two[1], one[1]]
    assert again[0].row.record.metrics != first[0].row.record.metrics
    # the same weights under another name
    shutil.copy(two[1], one[1])
    again = evaluate(*one)
    assert again[0].row.record.metrics == both[1].row.record.metrics
    assert len(runs) == 3
    run_args.rerun = True
    evaluate(*two)
    assert len(runs) == 4


def test_interruption_leaves_what_was_finished(
    write_model, evaluate, runs, monkeypatch, tmp_path
):
    one, two = write_model('one'), write_model('two', seed=1)
    original = building.run

    def interrupt(prepared, runner, folder):
        record = original(prepared, runner, folder)
        if prepared.cfg.load_from == two[1]:
            raise KeyboardInterrupt  # after the results, before the record
        return record

    monkeypatch.setattr(building, 'run', interrupt)
    with pytest.raises(KeyboardInterrupt):
        evaluate(*one, *two)
    monkeypatch.setattr(building, 'run', original)
    outcomes = evaluate(*one, *two)
    assert [outcome.cached for outcome in outcomes] == [True, False]
    assert runs == [one[1], two[1], two[1]]
    assert not list((tmp_path / 'work').rglob('*.part'))


def test_what_fails_is_a_row_and_the_others_go_on(
    write_model, evaluate, tmp_path
):
    good = write_model('good')
    broken = tmp_path / 'broken.pth'
    broken.write_bytes(b'no weights')
    argv = ['no.py', good[1], good[0], 'no.pth', good[0], str(broken)]
    outcomes = evaluate(*argv, *good)
    reasons = [outcome.row.failure for outcome in outcomes]
    assert reasons[0] == 'the config no.py does not exist'
    assert reasons[1] == 'the checkpoint no.pth does not exist'
    assert 'broken.pth (10 bytes) is truncated' in reasons[2]
    assert reasons[3] == ''
    tables = build_tables(outcomes, tmp_path / 'work', 'AP', 50)
    assert len(tables) == 1
    assert [row.record is None for row in tables[0].rows] == [
        False,
        True,
        True,
        True,
    ]
    # a failure is not kept
    shutil.copy(good[1], broken)
    assert evaluate(good[0], str(broken))[0].row.failure == ''


def test_error_within_a_run_names_its_place(
    write_model, evaluate, monkeypatch
):
    def fail(*_):
        raise RuntimeError('out of something\nmore')

    monkeypatch.setattr(building, 'run', fail)
    (outcome,) = evaluate(*write_model())
    assert outcome.row.failure.startswith('RuntimeError: out of something (')
    assert 'test_building.py:' in outcome.row.failure


def test_perturbed_boxes_change_the_result_and_size_0_does_not(
    write_model, evaluate, tmp_path
):
    boxes = ['ground_truth', 'shift:0', 'shift:0.3', 'shift:0.3:1']
    outcomes = evaluate(*write_model(), boxes=boxes)
    metrics = [outcome.row.record.metrics for outcome in outcomes]
    assert metrics[0] == metrics[1]
    assert metrics[2] not in (metrics[0], metrics[3])
    labels = [outcome.row.boxes for outcome in outcomes]
    assert labels == [
        'ground truth',
        'ground truth, shift 0, seed 0',
        'ground truth, shift 0.3, seed 0',
        'ground truth, shift 0.3, seed 1',
    ]
    # from scratch, the same
    shutil.rmtree(tmp_path / 'work')
    (again,) = evaluate(*write_model(), boxes=boxes[2:3])
    assert again.row.record.metrics == metrics[2]


@pytest.mark.parametrize('label', WITHOUT_BOXES)
def test_a_model_without_boxes_runs_once(
    write_model, evaluate, monkeypatch, label
):
    monkeypatch.setattr(entries, 'apply_box_source', lambda *_: label)
    monkeypatch.setattr(building, '_run', lambda *_: None)
    outcomes = evaluate(*write_model(), boxes=['config', 'ground_truth'])
    assert [outcome.row.boxes for outcome in outcomes] == [label]


def test_tables_of_two_models(write_model, evaluate, tmp_path):
    one, two = write_model('one'), write_model('two', seed=1)
    outcomes = evaluate(*one, *two)
    (table,) = build_tables(outcomes, tmp_path / 'work', 'AP', 50)
    aps = [row.metrics['AP'] for row in table.rows]
    assert aps == sorted(aps, reverse=True) and aps[0] > aps[1]
    for row in table.rows:
        assert row.interval[0] <= row.metrics['AP'] <= row.interval[1]
        assert len(row.pictures) == 4
    found = table.compare(0, 1)
    assert found.difference == pytest.approx(aps[0] - aps[1])
    paths = write_tables([table], tmp_path / 'work', 'Title', 'notes')
    assert [path.suffix for path in paths] == ['.md', '.csv', '.html']
    for path in paths:
        text = path.read_text()
        assert 'one' in text and 'two' in text


def test_data_sets_are_ranked_by_their_own_metrics(
    write_model, easy_annotations, run_args, tmp_path
):
    path = {'ann_file': str(easy_annotations)}
    truth = (BoxSource('ground_truth'),)
    listing = Listing(
        (ModelSpec('one', *write_model()), ModelSpec('two', 'no.py', 'w')),
        (
            DataSetSpec('a', path, {}, truth),
            DataSetSpec('b', path, {}, truth, 'AR'),
        ),
    )
    outcomes = evaluate_all(listing, run_args, tmp_path / 'work', _quiet)
    tables = build_tables(outcomes, tmp_path / 'work', 'AP75', 50)
    assert [table.rank_by for table in tables] == ['AP75', 'AR']
    assert [table.metric_names[0] for table in tables] == ['AP75', 'AR']
    assert [len(table.rows) for table in tables] == [2, 2]


@pytest.fixture
def mpii(tmp_path):
    """Four images of two people, one who reaches out of the image."""
    people = {
        f'00000000{i}.jpg': [
            mpii_files.standing_person(100, 120),
            mpii_files.standing_person(170 + i, 130),
        ]
        for i in range(1, 5)
    }
    mpii_files.write_release(tmp_path / 'mpii.mat', people)
    for name in people:
        cv2.imwrite(str(tmp_path / name), np.zeros((240, 320, 3), np.uint8))

    def spec(*sources):
        return DataSetSpec(
            'MPII',
            dict(
                type='MpiiMultiPersonDataset',
                data_root=str(tmp_path),
                ann_file='mpii.mat',
                data_prefix={'img': ''},
            ),
            dict(type='MpiiMultiPersonAP', thr=4.0),
            sources,
            'Total',
        )

    return spec


def test_mpii_has_intervals(write_model, mpii, run_args, tmp_path):
    model = {'model.head.out_channels': 16}
    listing = Listing(
        tuple(
            ModelSpec(f'm{seed}', *write_model(f'm{seed}', seed, **model))
            for seed in (0, 1)
        ),
        (mpii(BoxSource('ground_truth')),),
    )
    outcomes = evaluate_all(listing, run_args, tmp_path / 'work', _quiet)
    (table,) = build_tables(outcomes, tmp_path / 'work', 'AP', 50)
    for row in table.rows:
        assert row.failure == ''
        assert row.interval[0] <= row.metrics['Total'] <= row.interval[1]
        assert 0 < row.metrics['Total'] < 100
    assert table.compare(0, 1).difference >= 0


def test_perturbed_boxes_of_mpii(write_model, mpii, run_args, tmp_path):
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
    listing = Listing((ModelSpec('m', *model),), (mpii(*sources),))
    outcomes = evaluate_all(listing, run_args, tmp_path / 'work', _quiet)
    assert [outcome.row.failure for outcome in outcomes] == [''] * 7
    values = [outcome.row.record.metrics for outcome in outcomes]
    truth, detected, shift, truncation, _, same, _ = values
    assert shift == truth != truncation
    assert same == detected
    # the square of 200 x scale about the first person is (20, 52, 160, 160)
    for factor, bbox in (
        (0, [20, 52, 160, 160]),
        (1, [5, 25, 190, 210]),
        (2, [-10, -2, 220, 260]),
    ):
        (path,) = tmp_path.glob(f'work/boxes/mpii-amplification-{factor}-*')
        assert json.loads(path.read_text())[0]['bbox'] == pytest.approx(bbox)


def test_data_sets_of_one_name_are_told_apart(
    write_model, evaluate, easy_annotations, tmp_path
):
    one = write_model('one')
    content = json.loads(easy_annotations.read_text())
    content['annotations'][0]['area'] += 1
    other = tmp_path / 'other' / easy_annotations.name
    other.parent.mkdir()
    other.write_text(json.dumps(content))
    two = write_model(
        'two',
        **{
            'test_dataloader.dataset.ann_file': str(other),
            'test_evaluator.ann_file': str(other),
        },
    )
    outcomes = evaluate(*one, *two)
    tables = build_tables(outcomes, tmp_path / 'work', 'AP', 50)
    assert [table.data_set for table in tables] == ['easy (1)', 'easy (2)']
    assert [len(table.rows) for table in tables] == [1, 1]
