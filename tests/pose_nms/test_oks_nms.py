"""OKS, soft OKS and nearby joints, beside mmpose's functions and loops."""

import math
from functools import partial

import numpy as np
import pytest
from mmpose.evaluation.functional import nearby_joints_nms, oks_nms
from redundant_poses import looped_clusters, people

from rmpe_spm.oks import COCO_SIGMAS
from rmpe_spm.pose_nms import greedy
from rmpe_spm.pose_nms.oks_nms import OKSNMS, NearbyJointsNMS, SoftOKSNMS


@pytest.mark.parametrize('thr', [0.5, 0.7, 0.9])
@pytest.mark.parametrize('with_areas', [False, True])
def test_keeps_what_mmpose_keeps(thr, with_areas):
    kpts, joint_scores, boxes, scores = people(0, 10, 4, dtype=np.float64)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], 1)
    given = {}
    if with_areas:
        areas = areas * 1.5
        given = dict(areas=areas)
    expected = oks_nms(
        [
            dict(
                keypoints=np.concatenate(
                    [kpts[i], joint_scores[i, :, None]], 1
                ),
                score=scores[i],
                area=areas[i],
            )
            for i in range(len(kpts))
        ],
        thr,
    )
    result = OKSNMS(thr)(kpts, joint_scores, boxes, scores=scores, **given)
    assert result.keep.tolist() == expected.tolist()
    assert 10 <= len(expected) < 40
    np.testing.assert_array_equal(result.scores, scores[expected])
    np.testing.assert_array_equal(result.keypoints, kpts[expected])
    assert sorted(np.concatenate(result.clusters)) == list(range(40))


def test_other_keypoints_need_their_sigmas():
    kpts, scores, boxes, _ = people(0, 3, 3, num_joints=5)
    with pytest.raises(ValueError, match='pass sigmas='):
        OKSNMS(0.6)(kpts, scores, boxes)
    assert len(OKSNMS(0.6, sigmas=[0.1] * 5)(kpts, scores, boxes)) > 0


def looped_decay(kpts, areas, scores, sigma, min_score):
    """Take the best, decay the rest, joint by joint."""
    left = dict(enumerate(scores))
    taken = []
    while left:
        best = max(left, key=left.get)
        if left[best] < min_score:
            break
        taken.append((best, left.pop(best)))
        for j in left:
            scale = (areas[best] + areas[j]) / 2
            oks = 0
            for a, b, s in zip(kpts[best], kpts[j], COCO_SIGMAS, strict=True):
                oks += math.exp(-(math.dist(a, b) ** 2) / (8 * s * s * scale))
            left[j] *= math.exp(-((oks / 17) ** 2) / sigma)
    return taken


@pytest.mark.parametrize('sigma,min_score', [(0.9, 0.001), (0.1, 0.3)])
def test_soft_scores_equal_the_loops(sigma, min_score):
    rng = np.random.default_rng(1)
    kpts = rng.uniform(0, 100, (5, 17, 2))[rng.integers(0, 5, 20)]
    kpts = kpts + rng.normal(size=kpts.shape)
    scores = rng.random(20)
    boxes = np.concatenate([kpts.min(1), kpts.max(1)], 1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], 1)
    nms = SoftOKSNMS(sigma, min_score)
    args = kpts, np.ones((20, 17)), boxes
    result = nms(*args, scores=scores)
    expected = looped_decay(kpts, areas, scores, sigma, min_score)
    assert result.keep.tolist() == [index for index, _ in expected]
    np.testing.assert_allclose(result.scores, [s for _, s in expected])
    assert (len(expected) < 20) == (min_score > 0.1)


def test_nearby_joints_keep_what_mmpose_keeps():
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


def looped_nearby(kpts, dist_thr, limit, pose, other):
    """The rule written out."""
    span = np.nanmax(kpts[pose], 0) - np.nanmin(kpts[pose], 0)
    near = np.hypot(*(kpts[other] - kpts[pose]).T) < dist_thr * np.hypot(*span)
    return near.sum() > limit


@pytest.mark.parametrize('block', [1, 256 * 20, 1 << 15])
@pytest.mark.parametrize('limit', [0, 8, 16])
def test_clusters_are_those_of_the_loops(block, limit, monkeypatch):
    """In blocks of any size, with ties and missing joints, image by image."""
    monkeypatch.setattr(greedy, '_BLOCK', block)
    rng = np.random.default_rng(1)
    base = rng.uniform(0, 99, (8, 17, 2)) + rng.uniform(0, 200, (8, 1, 2))
    kpts = base[rng.integers(0, 8, 90)] + rng.normal(size=(90, 17, 2)) * 4
    kpts[rng.random((90, 17)) < 0.05] = np.nan
    scores = rng.integers(0, 30, 90) / 30
    parts = slice(0, 60), slice(60, 60), slice(60, 90)
    results = NearbyJointsNMS(num_nearby_joints=limit).batch(
        [kpts[part] for part in parts],
        [np.ones((90, 17))[part] for part in parts],
        [np.zeros((90, 4))[part] for part in parts],
        scores=[scores[part] for part in parts],
    )
    for part, result in zip(parts, results, strict=True):
        redundant = partial(looped_nearby, kpts[part], 0.05, limit)
        ranked = np.argsort(-scores[part], kind='stable').tolist()
        expected = looped_clusters(ranked, redundant)
        assert [c.tolist() for c in result.clusters] == expected
        assert result.keep.tolist() == [cluster[0] for cluster in expected]
    assert 8 <= len(results[0]) < 60 or limit == 16


def test_a_threshold_that_is_no_oks():
    with pytest.raises(ValueError, match='thr is an OKS'):
        OKSNMS(thr=90)


def test_a_limit_that_no_pose_exceeds():
    nms = NearbyJointsNMS(num_nearby_joints=4)
    with pytest.raises(ValueError, match='can never be exceeded'):
        nms(np.zeros((1, 4, 2)), np.zeros((1, 4)), np.zeros((1, 4)))
