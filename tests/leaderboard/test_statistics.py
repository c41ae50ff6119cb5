import numpy as np
import pytest

from rmpe_spm.coco.bootstrap import bootstrap_ap, paired_bootstrap
from rmpe_spm.coco.ground_truth import ImageGroundTruth, PoseSet
from rmpe_spm.coco.keypoint_ap import match_poses
from rmpe_spm.leaderboard.tables import SEED, add_statistics, make_table
from rmpe_spm.mpii.ap import (
    AnnotatedPoses,
    PredictedPoses,
    match_joints,
)

SIGMAS = np.full(5, 0.1)


def pose_set(noise, num_images=12):
    """Two people an image, and poses that are off by some noise."""
    rng = np.random.default_rng(3)
    truths, keypoints = [], []
    for _ in range(num_images):
        points = rng.uniform(0, 100, (2, 5, 2))
        visible = np.full((2, 5, 1), 2.0)
        boxes = np.tile([0.0, 0.0, 100.0, 100.0], (2, 1))
        truths.append(
            ImageGroundTruth(
                np.concatenate([points, visible], -1),
                boxes,
                np.full(2, 2500.0),
                np.zeros(2, bool),
            )
        )
        keypoints.append(points + rng.normal(0, noise, points.shape))
    return PoseSet(
        list(range(num_images)),
        truths,
        keypoints,
        [np.ones((2, 5)) for _ in truths],
        [np.tile([0.0, 0.0, 100.0, 100.0], (2, 1)) for _ in truths],
        [rng.uniform(0, 1, 2) for _ in truths],
    )


def mpii_matches(noise, num_images=9):
    """Likewise, evaluated by MPII's protocol."""
    rng = np.random.default_rng(5)
    annotated, predicted = [], []
    for _ in range(num_images):
        points = rng.uniform(0, 300, (2, 14, 2))
        annotated.append(
            AnnotatedPoses(points, np.ones((2, 14), bool), np.full(2, 20.0))
        )
        off = rng.normal(0, noise, points.shape)
        predicted.append(PredictedPoses(points + off, rng.random((2, 14))))
    return match_joints(annotated, predicted)


@pytest.fixture
def ranked(make_row):
    """A table of two rows with their poses, the better one first."""
    rows = [make_row('good'), make_row('bad')]
    poses = [pose_set(4.0), pose_set(5.5)]
    for row, each in zip(rows, poses, strict=True):
        ap = float(match_poses(each, SIGMAS).ap()[0])
        assert 0.1 < ap < 0.9
        row.record.metrics = {'coco/AP': ap}
        row.record.sigmas = SIGMAS.tolist()
        row.poses = each
    return make_table('val', rows, 'AP'), poses


@pytest.fixture
def ranked_mpii(make_row):
    """Likewise, of MPII."""
    rows = [make_row('good'), make_row('bad')]
    matches = [mpii_matches(5.0), mpii_matches(7.0)]
    for row, each in zip(rows, matches, strict=True):
        row.record.metrics = {f'mpii/{k}': v for k, v in each.table().items()}
        row.poses = each
    return make_table('mpii', rows, 'Total'), matches


@pytest.mark.parametrize('metric', ['AP', 'Total', 'Wrist'])
def test_intervals_and_tests_are_those_of_the_bootstrap(
    ranked, ranked_mpii, metric
):
    table, poses = ranked if metric == 'AP' else ranked_mpii
    table.rank_by = metric
    add_statistics(table, 200)
    if metric == 'AP':
        matches = [match_poses(each, SIGMAS) for each in poses]
    else:
        matches = [each.of_column(metric) for each in poses]
    for row, each in zip(table.rows, matches, strict=True):
        rng = np.random.default_rng(SEED)
        expected = bootstrap_ap(each, rng, 200)
        assert row.interval == (expected.low, expected.high)
        assert 0 < row.interval[0] < row.metrics[table.rank_by]
    rng = np.random.default_rng(SEED)
    expected = paired_bootstrap(*matches, rng, 200)
    assert table.comparisons == {(0, 1): expected}
    assert table.comparisons[0, 1].difference > 0


def test_what_ranks_by_another_metric_has_no_interval(ranked):
    table, poses = ranked
    table.rank_by = 'AP50'
    add_statistics(table, 200)
    assert table.rows[0].interval is None and not table.comparisons


def test_nobody_to_find_has_no_interval(ranked):
    table, poses = ranked
    for each in poses:
        for truth in each.truths:
            truth.ignored[:] = True
    add_statistics(table, 50)
    assert [row.interval for row in table.rows] == [None, None]


def test_another_ap_than_the_evaluators_has_no_interval(ranked):
    table, poses = ranked
    table.rows[0].record.metrics['coco/AP'] += 0.01
    add_statistics(table, 50)
    assert table.rows[0].interval is None
    assert table.rows[1].interval is not None
    assert table.comparisons == {}


def test_what_has_no_poses_or_other_images(ranked, failed_row):
    table, poses = ranked
    table.rows.append(failed_row)
    poses[1].image_ids = [image_id + 100 for image_id in poses[1].image_ids]
    add_statistics(table, 50)
    assert failed_row.interval is None
    assert table.rows[1].interval is not None
    assert table.comparisons == {}
