import csv
import io
import math

import pytest

from rmpe_spm.coco.bootstrap import PairedDifference
from rmpe_spm.leaderboard.tables import make_table
from rmpe_spm.leaderboard.writers import to_csv, to_markdown


@pytest.fixture
def tables(make_row, failed_row):
    best = make_row('best', 2 / 3, interval=(0.6, 0.75))
    second = make_row('second', 0.5, boxes='detections a.json')
    table = make_table('val', [failed_row, second, best], 'AP')
    table.comparisons[0, 1] = PairedDifference(1 / 6, 0.125, 0.25, 0.004)
    other = make_row('alone', 0.25, data_set='test')
    return [table, make_table('test', [other], 'AP')]


def test_csv_has_every_number_in_full(tables):
    lines = list(csv.DictReader(io.StringIO(to_csv(tables))))
    assert [line['model'] for line in lines] == [
        'best',
        'second',
        'broken',
        'alone',
    ]
    best, second, broken, alone = lines
    assert float(best['AP']) == 2 / 3
    assert float(best['AP50']) == 2 / 3 + 0.1
    assert (best['AP low'], best['AP high']) == ('0.6', '0.75')
    assert best['less best, difference'] == ''
    assert float(second['less best, difference']) == -1 / 6
    assert float(second['less best, low']) == -0.25
    assert second['less best, p_value'] == '0.004'
    assert second['boxes'] == 'detections a.json'
    assert second['PCK@0.1 left_eye'] == '0.75'
    assert (second['parameters'], second['gflops']) == ('1500000', '0.5')
    assert broken['failure'] == 'no <checkpoint> | there'
    assert broken['rank'] == broken['AP'] == broken['gflops'] == ''
    assert alone['data_set'] == 'test' and alone['rank'] == '1'


def test_markdown(tables):
    text = to_markdown(
        tables, 'Title', [('AP', 'what it is'), ('', 'A note.')]
    )
    lines = text.splitlines()
    assert lines[0] == '# Title'
    start = lines.index('## val')
    assert lines[start + 2 : start + 7] == [
        '| rank | model | boxes | AP | 95% | AP50 | AR '
        '| AP less the best, p |',
        '| --- | --- | --- | --- | --- | --- | --- | --- |',
        '| 1 | best | ground truth | 0.667 | 0.600 to 0.750 | 0.767 | 0.667 '
        '| best |',
        '| 2 | second | detections a.json | 0.500 | - | 0.600 | 0.500 '
        '| -0.167 [-0.250, -0.125], p = 0.004 |',
        '| - | broken | ground truth | failed: no <checkpoint> \\| there '
        '|  |  |  |  |',
    ]
    assert '## test' in lines
    assert lines[-3:] == ['- **AP**: what it is', '', 'A note.']
    joints = lines.index('| model | boxes | nose | L eye |')
    assert lines[joints - 2] == 'PCK@0.1 of each joint:'
    assert lines[joints + 2] == '| best | ground truth | 0.25 | 0.75 |'
    costs = next(line for line in lines if line.startswith('| second | det'))
    assert costs == (
        '| second | detections a.json | 1.50 | 0.500 '
        "| one person's crop of 48x64 | 12.5 | 300 | CPU | 1 | 2026-11-24 "
        '| `c.py` | `w.pth` (abababab) |'
    )
    # every table has as many cells in each line
    for block in text.split('\n\n'):
        counts = {
            line.replace('\\|', '').count('|')
            for line in block.splitlines()
            if line.startswith('|')
        }
        assert len(counts) <= 1


def test_nan_is_a_missing_value(make_row):
    row = make_row()
    row.record.metrics['coco/AR'] = math.nan
    tables = [make_table('val', [row], 'AP')]
    text = to_markdown(tables, 'Title', [])
    assert '| 0.500 | - | 0.600 | - | best |' in text
    (line,) = csv.DictReader(io.StringIO(to_csv(tables)))
    assert (line['AP'], line['AR']) == ('0.5', '')


def test_small_p_values(tables):
    tables[0].comparisons[0, 1] = PairedDifference(0.1, 0.1, 0.2, 0.0005)
    assert '0.100], p < 0.001 |' in to_markdown(tables, 'Title', [])


def test_a_row_that_is_not_ranked_is_not_the_best(make_row):
    tables = [make_table('val', [make_row()], 'PCK')]
    text = to_markdown(tables, 'Title', [])
    assert '| - | model | ground truth | - | - | 0.500 | 0.600 |' in text
    assert '| best |' not in text


def test_only_failures(failed_row):
    tables = [make_table('val', [failed_row], 'AP')]
    text = to_markdown(tables, 'Title', [])
    assert 'failed: no <checkpoint>' in text
    assert 'GFLOPs' not in text
    assert 'broken' in to_csv(tables)
