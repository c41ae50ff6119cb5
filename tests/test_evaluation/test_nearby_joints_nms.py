"""Nearby-joints NMS by hand and beside mmpose's function."""

import numpy as np
import pytest
from mmpose.evaluation.functional import nearby_joints_nms
from mmpose.registry import TASK_UTILS

from rmpe_spm.evaluation import NearbyJointsNMS
from rmpe_spm.evaluation import nearby_joints_nms as nearby_joints_nms_module


def test_more_than_half_of_the_joints():
    base = np.array([[0.0, 0], [30, 40], [10, 10], [20, 20]])
    # the diagonal is 50, joints within 2.5 of each other are near
    near, some = base + [2.4, 0], base + [2.6, 0]
    some[:2] = base[:2]
    kpts = np.stack([some, base, near])
    scores = np.full((3, 4), 0.5)
    args = kpts, scores, np.zeros((3, 4))
    result = NearbyJointsNMS()(*args, scores=np.array([0.1, 0.9, 0.8]))
    assert result.keep.tolist() == [1, 0]
    assert [c.tolist() for c in result.clusters] == [[1, 2], [0]]
    one = NearbyJointsNMS(num_nearby_joints=1)
    assert one(*args, scores=np.array([0.1, 0.9, 0.8])).keep.tolist() == [1]
    wide = NearbyJointsNMS(dist_thr=0.06)
    assert wide(*args, scores=np.array([0.1, 0.9, 0.8])).keep.tolist() == [1]


def test_keeps_what_mmpose_keeps():
    """On well separated people, where both greedy orders agree."""
    rng = np.random.default_rng(0)
    base = 300 * np.arange(8)[:, None, None] + rng.uniform(0, 99, (8, 17, 2))
    kpts = base[rng.integers(0, 8, 30)] + rng.normal(size=(30, 17, 2)) * 0.5
    scores = rng.random(30)
    expected = nearby_joints_nms(
        [dict(keypoints=k, score=s) for k, s in zip(kpts, scores, strict=True)]
    )
    args = kpts, np.ones((30, 17)), np.zeros((30, 4))
    result = NearbyJointsNMS()(*args, scores=scores)
    assert result.keep.tolist() == expected
    best = NearbyJointsNMS(max_dets=3)(*args, scores=scores)
    assert best.keep.tolist() == expected[:3]
    images = NearbyJointsNMS(max_dets=3).batch(
        *([a[:15], a[15:]] for a in args), scores=[scores[:15], scores[15:]]
    )
    assert [len(result) for result in images] == [3, 3]
    whole = NearbyJointsNMS()(*(a[15:] for a in args), scores=scores[15:])
    assert images[1].keep.tolist() == whole.keep[:3].tolist()


def test_many_poses_are_treated_as_few(monkeypatch):
    """All pairs at once, or one kept pose after another."""
    rng = np.random.default_rng(1)
    base = rng.uniform(0, 99, (8, 17, 2))
    kpts = base[rng.integers(0, 8, 60)] + rng.normal(size=(60, 17, 2)) * 3
    args = kpts, rng.random((60, 17)), np.zeros((60, 4))
    few = NearbyJointsNMS()(*args)
    monkeypatch.setattr(nearby_joints_nms_module, '_AT_ONCE', 0)
    many = NearbyJointsNMS()(*args)
    assert 8 <= len(few) < 60
    assert many.keep.tolist() == few.keep.tolist()


def test_missing_joints_are_not_near():
    kpts = np.zeros((2, 4, 2)) + np.arange(4)[:, None] * 50
    kpts[:, 2:] = np.nan
    result = NearbyJointsNMS()(kpts, np.ones((2, 4)), np.zeros((2, 4)))
    assert len(result) == 2
    nothing = NearbyJointsNMS()(
        kpts * np.nan, np.ones((2, 4)), np.zeros((2, 4))
    )
    assert len(nothing) == 2


def test_built_by_name_and_wrong_values():
    assert TASK_UTILS.build(dict(type='NearbyJointsNMS')).dist_thr == 0.05
    with pytest.raises(ValueError, match='dist_thr must be positive'):
        NearbyJointsNMS(0)
    with pytest.raises(ValueError, match='max_dets'):
        NearbyJointsNMS(max_dets=0)
    nms = NearbyJointsNMS(num_nearby_joints=4)
    with pytest.raises(ValueError, match='can never be exceeded'):
        nms(np.zeros((1, 4, 2)), np.zeros((1, 4)), np.zeros((1, 4)))
