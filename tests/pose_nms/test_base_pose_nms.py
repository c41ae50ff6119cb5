"""The call interface on a pose NMS that keeps every second pose."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmpose.registry import TASK_UTILS

from rmpe_spm.pose_nms.base import BasePoseNMS
from rmpe_spm.pose_nms.batch import clusters_of


class EverySecond(BasePoseNMS):
    """Each pose at an odd place falls to the one before it."""

    def select(self, poses):
        order = np.arange(len(poses.keypoints))
        return clusters_of(poses, order, order - poses.positions % 2)


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
    weighted = nms(kpts, scores, boxes, bbox_scores=np.full(5, 0.5))
    assert weighted.scores.tolist() == [2.5, 1.5, 0.5]
    assert nms.batch(np.zeros((0, 3, 1, 2)), [], []) == []


def test_base_is_abstract():
    with pytest.raises(TypeError, match='select'):
        BasePoseNMS()


@pytest.mark.parametrize(
    'kind', ['ParametricPoseNMS', 'OKSNMS', 'NearbyJointsNMS', 'SoftOKSNMS']
)
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


KINDS = ['ParametricPoseNMS', 'OKSNMS', 'SoftOKSNMS', 'NearbyJointsNMS']


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


@pytest.mark.parametrize('kind', KINDS)
def test_no_pose_one_pose_and_two_alike(kind):
    arrays = two_alike()
    nms = build_nms(kind)
    assert nms(*(a[:0] for a in arrays)).keep.tolist() == []
    alone = nms(*(a[1:2] for a in arrays))
    assert alone.keep.tolist() == [0]
    np.testing.assert_array_equal(alone.keypoints, arrays[0][1:2])
    assert alone.scores.tolist() == pytest.approx([0.8])
    assert nms(*arrays).keep.tolist() == [0, 2]


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
