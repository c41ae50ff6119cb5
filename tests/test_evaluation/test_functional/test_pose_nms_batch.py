"""Flattening images and distributing what is kept."""

import numpy as np
import pytest
import torch

from rmpe_spm.evaluation.functional.pose_nms_batch import (
    clusters_of,
    flatten_poses,
    mean_scores,
    results_of,
)

SIZES = [2, 0, 3]


def images(make=np.asarray):
    """Three images; every number tells where it belongs."""
    kpts = [np.arange(n * 4.0).reshape(n, 2, 2) + 100 * n for n in SIZES]
    scores = [np.arange(n * 2.0).reshape(n, 2) / 10 for n in SIZES]
    boxes = [np.arange(n * 4.0).reshape(n, 4) for n in SIZES]
    box_scores = [np.linspace(0.5, 1, n) for n in SIZES]
    return [
        [make(image) for image in field]
        for field in (kpts, scores, boxes, box_scores)
    ]


@pytest.mark.parametrize('make', [np.asarray, torch.from_numpy])
def test_flatten(make):
    poses = flatten_poses(*images(make))
    kpts, scores, boxes, box_scores = map(np.concatenate, images())
    np.testing.assert_array_equal(poses.keypoints, kpts)
    np.testing.assert_array_equal(poses.keypoint_scores, scores)
    np.testing.assert_array_equal(poses.bboxes_xyxy, boxes)
    np.testing.assert_array_equal(poses.bbox_scores, box_scores)
    np.testing.assert_allclose(
        poses.person_scores, box_scores * scores.mean(1)
    )
    assert poses.positions.tolist() == [0, 1, 0, 1, 2]
    assert poses.images.tolist() == [0, 0, 2, 2, 2]
    given = flatten_poses(*images(make)[:3], scores=images(make)[3])
    np.testing.assert_array_equal(given.person_scores, box_scores)
    assert given.bbox_scores is None


def test_scores_of_joints_without_a_position_are_zero():
    kpts, scores, boxes, _ = images()
    kpts[2][1, 1, 0] = np.nan
    poses = flatten_poses(kpts, scores, boxes)
    assert poses.keypoint_scores[3].tolist() == [0.2, 0.0]
    assert poses.person_scores[3] == pytest.approx(0.1)


def test_ranking_by_image_with_ties_in_order():
    poses = flatten_poses(*images())
    order = poses.ranking(np.array([0.1, 0.2, 0.5, 0.7, 0.5]))
    assert order.tolist() == [1, 0, 3, 2, 4]
    one = flatten_poses(*([field[2]] for field in images()))
    assert one.ranking(np.array([1.0, 2.0, 1.0])).tolist() == [1, 0, 2]


@pytest.mark.parametrize('make', [np.asarray, torch.from_numpy])
def test_clusters_come_back_to_their_images(make):
    poses = flatten_poses(*images(make))
    order = np.array([1, 0, 3, 4, 2])
    # pose 0 falls to 1; poses 2 falls to 3, and 4 stays
    selection = clusters_of(poses, order, np.array([0, 0, 2, 3, 2]))
    assert selection.picks.tolist() == [1, 3, 4]
    selection.scores = np.array([0.5, 0.1, 0.2])
    first, empty, last = results_of(poses, selection)
    assert first.keep.tolist() == [1]
    assert [c.tolist() for c in first.clusters] == [[1, 0]]
    assert len(empty) == 0 and empty.keypoints.shape == (0, 2, 2)
    assert last.keep.tolist() == [2, 1]
    assert [c.tolist() for c in last.clusters] == [[2], [1, 0]]
    assert last.scores.tolist() == [0.2, 0.1]
    kpts, scores, *_ = images()
    np.testing.assert_array_equal(last.keypoints, kpts[2][[2, 1]])
    np.testing.assert_array_equal(last.keypoint_scores, scores[2][[2, 1]])

    without = selection.having(np.array([True, False, True]))
    assert without.members.tolist() == [1, 0, 4]
    assert without.sizes.tolist() == [2, 1]
    assert without.scores.tolist() == [0.5, 0.2]
    assert without.keypoints.shape == (2, 2, 2)


def test_mean_of_no_joints():
    assert mean_scores(np.zeros((3, 0))).tolist() == [0, 0, 0]
    assert mean_scores(np.array([[1.0, 2.0]])).tolist() == [1.5]
