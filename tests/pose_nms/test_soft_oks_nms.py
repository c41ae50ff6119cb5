"""Soft OKS NMS against straight loops."""

import math

import numpy as np
import pytest
from mmpose.registry import TASK_UTILS

from rmpe_spm.oks import COCO_SIGMAS
from rmpe_spm.pose_nms.oks_nms import SoftOKSNMS


def looped(kpts, areas, scores, sigma, min_score):
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
def test_equals_the_loops(sigma, min_score):
    rng = np.random.default_rng(1)
    kpts = rng.uniform(0, 100, (5, 17, 2))[rng.integers(0, 5, 20)]
    kpts = kpts + rng.normal(size=kpts.shape)
    scores = rng.random(20)
    boxes = np.concatenate([kpts.min(1), kpts.max(1)], 1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], 1)
    nms = SoftOKSNMS(sigma, min_score)
    args = kpts, np.ones((20, 17)), boxes
    result = nms(*args, scores=scores)
    expected = looped(kpts, areas, scores, sigma, min_score)
    assert result.keep.tolist() == [index for index, _ in expected]
    np.testing.assert_allclose(result.scores, [s for _, s in expected])
    assert (len(expected) < 20) == (min_score > 0.1)
    few = SoftOKSNMS(sigma, min_score, max_dets=3)(*args, scores=scores)
    assert few.keep.tolist() == result.keep[:3].tolist()
    kept = SoftOKSNMS(sigma, min_score, keep_scores=True)(*args, scores=scores)
    assert set(kept.keep) == set(result.keep)
    np.testing.assert_array_equal(kept.scores, scores[kept.keep])
    first, second = nms.batch(
        *([a[:7], a[7:]] for a in args), scores=[scores[:7], scores[7:]]
    )
    alone = nms(*(a[7:] for a in args), scores=scores[7:])
    assert second.keep.tolist() == alone.keep.tolist()
    np.testing.assert_array_equal(second.scores, alone.scores)
    assert first.keep.max() < 7


def test_built_by_name_and_wrong_values():
    assert TASK_UTILS.build(dict(type='SoftOKSNMS')).sigma == 0.9
    with pytest.raises(ValueError, match='sigma must be positive'):
        SoftOKSNMS(0)
    with pytest.raises(ValueError, match='max_dets'):
        SoftOKSNMS(max_dets=0)
