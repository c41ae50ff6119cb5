"""What every pose NMS has: the call, batches, images kept apart, bad input."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmpose.registry import TASK_UTILS

from rmpe_spm.pose_nms.base import (
    BasePoseNMS,
    PoseNMSResult,
    Selection,
    flatten_poses,
    mean_scores,
    split_images,
)
from rmpe_spm.pose_nms.parametric import ParametricPoseNMS

KINDS = ['ParametricPoseNMS', 'OKSNMS', 'SoftOKSNMS', 'NearbyJointsNMS']
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


class EverySecond(BasePoseNMS):
    """Each pose at an odd place of the ranking falls to the one before it."""

    def select(self, poses):
        starts = np.flatnonzero(poses.indices % 2 == 0)
        sizes = np.diff(starts, append=len(poses.indices))
        return Selection(
            np.arange(len(poses.indices)),
            sizes,
            poses.keypoints[starts],
            poses.keypoint_scores[starts],
            poses.person_scores[starts],
        )


def test_one_image_and_several():
    kpts = np.arange(10.0).reshape(5, 1, 2)
    scores = np.arange(5, 0, -1.0).reshape(5, 1)
    boxes = np.zeros((5, 4))
    nms = EverySecond()
    result = nms(kpts, scores, boxes)
    assert result.keep.tolist() == [0, 2, 4]
    assert [c.tolist() for c in result.clusters] == [[0, 1], [2, 3], [4]]
    np.testing.assert_array_equal(result.keypoints, kpts[::2])
    a, b = nms.batch(
        [kpts[:3], kpts], [scores[:3], scores], [boxes[:3], boxes]
    )
    assert a.keep.tolist() == [0, 2] and b.keep.tolist() == [0, 2, 4]
    best_last = nms(kpts, scores, boxes, scores=np.arange(5.0))
    assert best_last.keep.tolist() == [4, 2, 0]
    assert best_last.clusters[0].tolist() == [4, 3]
    weighted = nms(kpts, scores, boxes, bbox_scores=np.full(5, 0.5))
    assert weighted.scores.tolist() == [2.5, 1.5, 0.5]
    assert nms.batch(np.zeros((0, 3, 1, 2)), [], []) == []


def test_base_is_abstract_and_a_result_has_a_length():
    with pytest.raises(TypeError, match='select'):
        BasePoseNMS()
    clusters = [np.array([4]), np.array([1, 0])]
    arrays = np.zeros((2, 3, 2)), np.zeros((2, 3)), np.zeros(2)
    assert len(PoseNMSResult(np.array([4, 1]), clusters, *arrays)) == 2


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
    assert poses.indices.tolist() == [0, 1, 0, 1, 2]
    assert poses.images.tolist() == [0, 0, 2, 2, 2]
    np.testing.assert_array_equal(poses.areas, [4] * 5)
    given = flatten_poses(*images(make)[:3], scores=images(make)[3])
    np.testing.assert_array_equal(given.person_scores, box_scores)
    assert given.bbox_scores is None


def test_scores_of_joints_without_a_position_are_zero():
    kpts, scores, boxes, _ = images()
    kpts[2][1, 1, 0] = np.nan
    poses = flatten_poses(kpts, scores, boxes)
    assert poses.keypoint_scores[3].tolist() == [0.2, 0.0]
    assert poses.person_scores[3] == pytest.approx(0.1)
    assert mean_scores(np.zeros((3, 0))).tolist() == [0, 0, 0]


def test_ranked_by_image_with_ties_in_order():
    poses = flatten_poses(*images(), areas=[np.arange(n) for n in SIZES])
    ranked = poses.ranked(np.array([0.1, 0.2, 0.5, 0.7, 0.5]))
    assert ranked.indices.tolist() == [1, 0, 1, 0, 2]
    order = [1, 0, 3, 2, 4]
    for name in (
        'keypoints', 'keypoint_scores', 'bboxes_xyxy', 'bbox_scores',
        'person_scores', 'areas',
    ):  # fmt: skip
        expected = getattr(poses, name)[order]
        np.testing.assert_array_equal(getattr(ranked, name), expected)


@pytest.mark.parametrize('make', [np.asarray, torch.from_numpy])
def test_clusters_come_back_to_their_images(make):
    poses = flatten_poses(*images(make))
    poses = poses.ranked(np.array([0.1, 0.2, 0.5, 0.9, 0.7]))
    # by index in the image: 0 falls to 1; 0 of the last one to 1, 2 stays
    kept = [0, 2, 3]
    selection = Selection(
        np.array([0, 1, 2, 4, 3]),
        np.array([2, 2, 1]),
        poses.keypoints[kept],
        poses.keypoint_scores[kept],
        np.array([0.5, 0.1, 0.2]),
    )
    assert selection.kept.tolist() == [0, 2, 3]
    first, empty, last = split_images(poses, selection)
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
    assert without.members.tolist() == [0, 1, 3]
    assert without.sizes.tolist() == [2, 1]
    assert without.scores.tolist() == [0.5, 0.2]
    assert without.keypoints.shape == (2, 2, 2)


@pytest.mark.parametrize('kind', KINDS)
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 99),
    count=st.integers(0, 8),
    num_joints=st.sampled_from([1, 2, 17]),
    bad=st.sampled_from([None, 0.0, np.nan]),
)
def test_every_nms_keeps_a_subset(kind, seed, count, num_joints, bad):
    """Without regard to the order, and what is kept stays kept."""
    cfg = dict(type=kind)
    if 'OKS' in kind:
        cfg['sigmas'] = [0.05] * num_joints
    if kind == 'ParametricPoseNMS':
        cfg['merge'] = None
    nms = TASK_UTILS.build(cfg)
    rng = np.random.default_rng(seed)
    people = rng.uniform(0, 100, (3, num_joints, 2))
    kpts = people[rng.integers(0, 3, count)]
    kpts += rng.normal(0, 1, kpts.shape)
    joint_scores = rng.uniform(0.1, 1, (count, num_joints))
    boxes = np.tile([0.0, 0, 100, 100], (count, 1))
    box_scores = rng.uniform(0.1, 1, count)
    if bad is not None:
        joint_scores[:1] = box_scores[:1] = bad
    arrays = (kpts, joint_scores, boxes, box_scores)
    keep = nms(*arrays).keep
    assert len(set(keep.tolist())) == len(keep)
    assert set(keep.tolist()) <= set(range(count))
    # soft NMS drops persons without a score, the others keep one of any
    kept = count - (bad is not None) if kind == 'SoftOKSNMS' else count
    assert (len(keep) > 0) == (kept > 0)
    order = rng.permutation(count)
    permuted = nms(*(array[order] for array in arrays)).keep
    np.testing.assert_array_equal(order[permuted], keep)
    if kind != 'SoftOKSNMS':  # decayed scores do not go in again
        again = nms(*(array[keep] for array in arrays)).keep
        assert again.tolist() == list(range(len(keep)))


def build_nms(kind, num_joints=17):
    cfg = dict(type=kind)
    if 'OKS' in kind:
        cfg['sigmas'] = [0.05] * num_joints
    if kind == 'SoftOKSNMS':
        cfg['min_score'] = 0.5  # so that it drops the second of a pair
    return TASK_UTILS.build(cfg)


def two_alike(num_joints=17):
    """Two poses that are nearly the same and one that is far away."""
    pose = np.random.default_rng(0).uniform(0, 100, (num_joints, 2))
    kpts = np.stack((pose, pose + 0.1, pose + 500))
    scores = np.array([[0.9], [0.8], [0.7]]).repeat(num_joints, 1)
    boxes = np.array([[0.0, 0, 100, 100]] * 2 + [[500, 500, 600, 600]])
    return kpts, scores, boxes


@pytest.mark.parametrize('make', [np.asarray, torch.from_numpy])
@pytest.mark.parametrize('kind', KINDS)
def test_no_pose_one_pose_and_two_alike(kind, make):
    arrays = [make(array) for array in two_alike()]
    nms = build_nms(kind)
    nothing = nms(*(a[:0] for a in arrays))
    assert len(nothing) == 0 and nothing.clusters == []
    assert nothing.keypoints.shape == (0, 17, 2)
    assert nothing.keypoint_scores.shape == (0, 17)
    assert nothing.scores.shape == (0,)
    alone = nms(*(a[1:2] for a in arrays))
    assert alone.keep.tolist() == [0]
    assert [c.tolist() for c in alone.clusters] == [[0]]
    np.testing.assert_array_equal(alone.keypoints, arrays[0][1:2])
    assert alone.scores.tolist() == pytest.approx([0.8])
    assert nms(*arrays).keep.tolist() == [0, 2]
    assert nms.batch([], [], []) == []


@pytest.mark.parametrize('kind', KINDS[:3])
def test_one_joint(kind):
    """NearbyJointsNMS needs a diagonal, which one joint does not have."""
    nms = build_nms(kind, 1)
    assert nms(*two_alike(1)).keep.tolist() == [0, 2]


@pytest.mark.parametrize('kind', KINDS)
def test_missing_joints(kind):
    kpts, scores, boxes = two_alike()
    nms = build_nms(kind)
    kpts[0, 3] = np.nan
    result = nms(kpts, scores, boxes)
    assert result.keep.tolist() == [0, 2]
    # A pose without any is nobody's twin, and the last of all.
    kpts[0] = np.nan
    result = nms(kpts, scores, boxes)
    kept = [1, 2] if kind == 'SoftOKSNMS' else [1, 2, 0]
    assert result.keep.tolist() == kept
    assert result.scores[:2].tolist() == pytest.approx([0.8, 0.7])


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize(
    'box',
    [
        [50, 50, 50, 50],
        [100, 100, 0, 0],
        [np.nan, 0, 100, 100],
        [0, 0, np.inf, 100],
    ],
)
def test_boxes_without_a_size(kind, box):
    """The poses are 0.14 pixels apart: less than the pixel that is left.

    Rules that use OKS have no area then, and take nobody for another.
    """
    kpts, scores, boxes = two_alike()
    boxes[:2] = box
    result = build_nms(kind)(kpts, scores, boxes)
    assert result.keep.tolist() == ([0, 1, 2] if 'OKS' in kind else [0, 2])
    assert np.isfinite(result.scores).all()


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
def test_given_scores_that_are_no_numbers(kind, bad):
    """They count as 0, here the lowest."""
    kpts, joint_scores, boxes = two_alike()
    scores = np.array([bad, 0.6, 0.7])
    nms = build_nms(kind)
    result = nms(kpts, joint_scores, boxes, scores=scores)
    if kind == 'ParametricPoseNMS':  # ranked by the joints
        assert result.keep.tolist() == [2, 0]
        assert result.scores.tolist() == [0.7, 0.0]
    else:
        assert result.keep.tolist() == [2, 1]
        assert result.scores.tolist() == [0.7, 0.6]


@pytest.mark.parametrize(
    'change,message',
    [
        (dict(keypoints=np.zeros((3, 17, 3))), r'must .* \(N, K, 2\)'),
        (dict(keypoints=np.zeros((3, 4))), r'keypoints must'),
        (dict(keypoint_scores=np.zeros((3, 16))), r'\(3, 17\).*\(3, 16\)'),
        (dict(bboxes_xyxy=np.zeros((2, 4))), r'\(3, 4\).*\(2, 4\)'),
        (dict(bbox_scores=np.zeros((3, 1))), r'\(3,\).*\(3, 1\)'),
        (dict(scores=np.zeros(4)), r'\(3,\).*\(4,\)'),
    ],
)
def test_shapes_that_do_not_fit(change, message):
    good = dict(
        keypoints=np.zeros((3, 17, 2)),
        keypoint_scores=np.zeros((3, 17)),
        bboxes_xyxy=np.zeros((3, 4)),
    )
    with pytest.raises(ValueError, match=message):
        ParametricPoseNMS()(**{**good, **change})


def test_images_that_do_not_fit_one_another():
    nms = ParametricPoseNMS()
    a, b = two_alike(17), two_alike(16)
    with pytest.raises(ValueError, match=r'\[16, 17\]'):
        nms.batch(*zip(a, b, strict=True))
    with pytest.raises(ValueError, match='one array an image'):
        nms.batch([a[0], a[0]], [a[1], a[1]], [a[2]])
    with pytest.raises(ValueError, match='of image 1'):
        nms.batch([a[0], a[0]], [a[1], a[1]], [a[2], a[2][:1]])
