"""Merged poses against straight loops."""

import math

import numpy as np
import pytest

from rmpe_spm.pose_nms.rule import make_rule
from rmpe_spm.pose_nms.similarity import merge_poses, pose_terms


def looped_merge(kpts, scores, boxes, cluster, rule):
    """One cluster, joint by joint."""
    first = cluster[0]
    size = max(boxes[first, 2:] - boxes[first, :2])
    limit = min(max(rule.alpha * size, 1), rule.merge_cap)
    merged, merged_scores = [], []
    for joint in range(kpts.shape[1]):
        place = kpts[first, joint]
        near = [
            m for m in cluster if math.dist(kpts[m, joint], place) <= limit
        ]
        if not near:
            merged.append(place)
            merged_scores.append(scores[first, joint])
            continue
        weights = [max(scores[m, joint], 1e-5) for m in near]
        total = sum(weights)
        merged.append(
            sum(w * kpts[m, joint] for w, m in zip(weights, near, strict=True))
            / total
        )
        values = [scores[m, joint] for m in near]
        if rule.merge == 'max':
            merged_scores.append(max(values))
        else:
            merged_scores.append(
                sum(v * w for v, w in zip(values, weights, strict=True))
                / total
            )
    return merged, merged_scores


@pytest.mark.parametrize('merge', ['max', 'weighted'])
@pytest.mark.parametrize('cap', [3.0, math.inf])
def test_equals_the_loops(merge, cap):
    rng = np.random.default_rng(0)
    rule = make_rule('coco', merge=merge, merge_cap=cap)
    kpts = rng.uniform(0, 8, (12, 5, 2))
    scores = rng.random((12, 5))
    kpts[rng.random((12, 5)) < 0.1] = np.nan
    scores[np.isnan(kpts[..., 0])] = 0
    scores[3] = 0
    boxes = np.tile([0.0, 0.0, 30.0, 60.0], (12, 1))
    members = rng.permutation(12)
    sizes = np.array([1, 5, 2, 1, 3])
    terms = pose_terms(kpts, scores, boxes, rule)
    merged, merged_scores = merge_poses(
        kpts, scores, terms, members, sizes, rule
    )
    changed = 0
    clusters = np.split(members, np.cumsum(sizes)[:-1])
    for cluster, pose, pose_scores in zip(
        clusters, merged, merged_scores, strict=True
    ):
        expected, expected_scores = looped_merge(
            kpts, scores, boxes, cluster, rule
        )
        np.testing.assert_allclose(pose, expected, rtol=1e-12)
        np.testing.assert_allclose(pose_scores, expected_scores, rtol=1e-12)
        changed += not np.allclose(pose, kpts[cluster[0]], equal_nan=True)
    assert changed == 3


def test_poses_alone_do_not_change():
    rule = make_rule('mpii')
    kpts, scores = np.full((2, 1, 2), 0.1), np.full((2, 1), 0.3)
    boxes = np.zeros((2, 4))
    merged, merged_scores = merge_poses(
        kpts,
        scores,
        pose_terms(kpts, scores, boxes, rule),
        np.array([1, 0]),
        np.array([1, 1]),
        rule,
    )
    assert (merged == kpts).all() and (merged_scores == scores).all()
