"""The call interface on a pose NMS that keeps every second pose."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmpose.registry import TASK_UTILS

from rmpe_spm.evaluation.base_pose_nms import BasePoseNMS
from rmpe_spm.evaluation.functional.pose_nms_batch import clusters_of


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
