import json
import math

from rmpe_spm.coco.bootstrap import PairedDifference
from rmpe_spm.engine.hooks import GROUPS, SINGLE_STAGE
from rmpe_spm.leaderboard.spec import (
    BoxSource,
    DataSetSpec,
    LeaderboardSpec,
    ModelSpec,
)
from rmpe_spm.leaderboard.tables import (
    Table,
    build_tables,
    make_table,
    short_metrics,
)


def test_best_first_and_failures_last(make_row, failed_row):
    rows = [
        failed_row,
        make_row('worst', 0.1),
        make_row('nothing known', math.nan),
        make_row('best', 0.9),
        make_row('equal', 0.5),
        make_row('as good', 0.5),
    ]
    table = make_table('val', rows, 'AP')
    assert [(row.model, row.rank) for row in table.rows] == [
        ('best', 1),
        ('equal', 2),
        ('as good', 2),
        ('worst', 4),
        ('nothing known', None),
        ('broken', None),
    ]


def test_ranks_are_among_rows_of_the_same_boxes(make_row):
    """Annotated boxes never come before others, however good they are."""
    truth, groups = 'ground truth, shift 0.2, seed 0', GROUPS
    rows = [
        make_row('oracle', 0.9, truth),
        make_row('weak', 0.2, 'detections a'),
        make_row('single', 0.4, SINGLE_STAGE),
        make_row('strong', 0.6, 'detections a'),
        make_row('groups', 0.8, groups),
        make_row('worse oracle', 0.1, truth),
    ]
    table = make_table('val', rows, 'AP')
    assert [(row.model, row.rank) for row in table.rows] == [
        ('strong', 1),
        ('weak', 2),
        ('single', 1),
        ('oracle', 1),
        ('worse oracle', 2),
        ('groups', 1),
    ]


def test_ranked_by_another_metric(make_row):
    first, second = make_row('first', 0.9), make_row('second', 0.1)
    first.record.metrics = {'pck/PCK': 0.2, 'coco/AP': 0.9}
    second.record.metrics = {'pck/PCK': 0.3}
    table = make_table('val', [first, second], 'PCK')
    assert [row.model for row in table.rows] == ['second', 'first']
    assert table.metric_names == ['PCK', 'AP']


def test_names_of_metrics():
    metrics = {'coco/AP': 1, 'coco/AP .5': 2, 'coco/AP (M)': 3, 'PCK': 4}
    assert short_metrics(metrics) == {
        'AP': 1,
        'AP50': 2,
        'APM': 3,
        'PCK': 4,
    }
    # CrowdPose's are other things
    assert short_metrics({'crowdpose/AP(M)': 1}) == {'AP medium': 1}
    # two evaluators keep their prefix
    both = {'coco/AP': 1, 'crowdpose/AP': 2, 'coco/AR': 3}
    assert short_metrics(both) == {'coco/AP': 1, 'crowdpose/AP': 2, 'AR': 3}


def test_columns_of_all_rows(make_row, failed_row):
    other = make_row('other')
    other.record.metrics = {'coco/AP': 0.1, 'coco/AP (L)': 0.2}
    table = make_table('val', [failed_row, make_row(), other], 'AP')
    assert table.metric_names == ['AP', 'AP50', 'AR', 'APL']


def test_against_the_best_of_the_same_boxes(make_row):
    boxes = ['a', 'a', 'b', 'b', 'b']
    found = PairedDifference(0.2, -0.1, 0.5, 0.04)
    pairs = {(0, 1): found, (0, 3): found, (2, 4): found}
    table = Table('val', 'AP', [make_row(boxes=b) for b in boxes], pairs)
    assert table.against_best(1) == PairedDifference(-0.2, -0.5, 0.1, 0.04)
    assert table.against_best(4) == table.against_best(1)
    for place in (0, 2, 3):
        assert table.against_best(place) is None


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
