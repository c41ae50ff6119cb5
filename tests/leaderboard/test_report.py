import json

import pytest

from rmpe_spm.leaderboard.report import (
    build_tables,
    column_notes,
    write_tables,
)
from rmpe_spm.leaderboard.spec import (
    BoxSource,
    DataSetSpec,
    LeaderboardSpec,
    ModelSpec,
)
from rmpe_spm.leaderboard.tables import make_table


def test_tables_of_two_models(write_model, evaluate, tmp_path):
    one, two = write_model('one'), write_model('two', seed=1)
    rows = evaluate(*one, *two)
    (table,) = build_tables(rows, 'AP', 50)
    aps = [row.metrics['AP'] for row in table.rows]
    assert aps == sorted(aps, reverse=True) and aps[0] > aps[1]
    for row in table.rows:
        assert row.interval[0] <= row.metrics['AP'] <= row.interval[1]
        assert len(row.pictures) == 4
    found = table.comparisons[0, 1]
    assert found.difference == pytest.approx(aps[0] - aps[1])
    paths = write_tables([table], tmp_path / 'work', 'Title', [('AP', 'x')])
    assert [path.suffix for path in paths] == ['.md', '.csv', '.html']
    for path in paths:
        text = path.read_text()
        assert 'one' in text and 'two' in text


def test_data_sets_are_ranked_by_their_own_metrics(
    write_model, easy_annotations, evaluate, tmp_path
):
    path = {'ann_file': str(easy_annotations)}
    truth = (BoxSource('ground_truth'),)
    spec = LeaderboardSpec(
        (ModelSpec('one', *write_model()), ModelSpec('two', 'no.py', 'w')),
        (
            DataSetSpec('a', path, {}, truth),
            DataSetSpec('b', path, {}, truth, 'AR'),
        ),
    )
    rows = evaluate(spec)
    tables = build_tables(rows, 'AP75', 50)
    assert [table.rank_by for table in tables] == ['AP75', 'AR']
    assert [table.metric_names[0] for table in tables] == ['AP75', 'AR']
    assert [len(table.rows) for table in tables] == [2, 2]


def test_mpii_has_intervals(write_model, mpii, evaluate, tmp_path):
    model = {'model.head.out_channels': 16}
    spec = LeaderboardSpec(
        tuple(
            ModelSpec(f'm{seed}', *write_model(f'm{seed}', seed, **model))
            for seed in (0, 1)
        ),
        (mpii(BoxSource('ground_truth')),),
    )
    rows = evaluate(spec)
    (table,) = build_tables(rows, 'AP', 50)
    for row in table.rows:
        assert row.failure == ''
        assert row.interval[0] <= row.metrics['Total'] <= row.interval[1]
        assert 0 < row.metrics['Total'] < 100
    assert table.comparisons[0, 1].difference >= 0


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
    rows = evaluate(*one, *two)
    tables = build_tables(rows, 'AP', 50)
    assert [table.data_set for table in tables] == ['easy (1)', 'easy (2)']
    assert [len(table.rows) for table in tables] == [1, 1]


def test_notes_say_what_there_is_and_no_more(make_row, failed_row):
    row = make_row(interval=(0.4, 0.6))
    notes = column_notes([make_table('val', [row], 'AP')], 321)
    assert '321 resamples' in dict(notes)['95%, less the best, p']
    assert all(name for name, _ in notes)
    rows = [failed_row, make_row()]
    notes = column_notes([make_table('val', rows, 'AP')], 321)
    assert 'resamples' not in str(notes)


def test_devices(make_row):
    other, published = make_row('other'), make_row('published')
    published.record.device = ''
    rows = [make_row(), published]
    assert '' not in dict(column_notes([make_table('val', rows, 'AP')], 9))
    other.record.device = 'GPU'
    table = make_table('val', [*rows, other], 'AP')
    assert 'different devices' in dict(column_notes([table], 9))['']
