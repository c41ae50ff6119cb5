"""Flattening images."""

import numpy as np
import pytest
import torch
from flat_images import images

from rmpe_spm.pose_nms.batch import flatten_poses, mean_scores


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


def test_mean_of_no_joints():
    assert mean_scores(np.zeros((3, 0))).tolist() == [0, 0, 0]
    assert mean_scores(np.array([[1.0, 2.0]])).tolist() == [1.5]
