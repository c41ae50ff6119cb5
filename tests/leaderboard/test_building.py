import json

import pytest

from rmpe_spm.leaderboard.box_sources import BoxSource
from rmpe_spm.leaderboard.report import build_tables, write_tables
from rmpe_spm.leaderboard.spec import DataSetSpec, Listing, ModelSpec


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
    write_model, easy_annotations, evaluate, tmp_path
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
    outcomes = evaluate(listing)
    tables = build_tables(outcomes, tmp_path / 'work', 'AP75', 50)
    assert [table.rank_by for table in tables] == ['AP75', 'AR']
    assert [table.metric_names[0] for table in tables] == ['AP75', 'AR']
    assert [len(table.rows) for table in tables] == [2, 2]


def test_mpii_has_intervals(write_model, mpii, evaluate, tmp_path):
    model = {'model.head.out_channels': 16}
    listing = Listing(
        tuple(
            ModelSpec(f'm{seed}', *write_model(f'm{seed}', seed, **model))
            for seed in (0, 1)
        ),
        (mpii(BoxSource('ground_truth')),),
    )
    outcomes = evaluate(listing)
    (table,) = build_tables(outcomes, tmp_path / 'work', 'AP', 50)
    for row in table.rows:
        assert row.failure == ''
        assert row.interval[0] <= row.metrics['Total'] <= row.interval[1]
        assert 0 < row.metrics['Total'] < 100
    assert table.compare(0, 1).difference >= 0


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
