"""The similarity against numbers worked out by hand, merging against loops."""

import math

import numpy as np
import pytest
import torch

from rmpe_spm.pose_nms.base import flatten_poses
from rmpe_spm.pose_nms.rule import make_rule
from rmpe_spm.pose_nms.similarity import PoseSimilarity
from rmpe_spm.poses import clean_scores

FAR = 1e6


def shifted(num_joints, side, shift, score):
    """A pose with all joints at one place, and a copy of it moved aside."""
    pose = np.zeros((1, num_joints, 2)) + [[[100.0, 50.0]]]
    scores = np.full((1, num_joints), score)
    box = np.array([[0.0, 0.0, side / 2, side]])
    return pose, scores, box, pose + [shift, 0.0], scores


def similarity_of(kpts, scores, boxes, rule):
    return PoseSimilarity(flatten_poses([kpts], [scores], [boxes]), rule)


def is_redundant(kpts, scores, box, others, other_scores, rule):
    """Whether the other pose is redundant with the first."""
    similarity = similarity_of(
        np.concatenate([kpts, others]),
        np.concatenate([scores, other_scores]),
        np.concatenate([box, box]),
        rule,
    )
    (redundant,) = similarity.redundant(np.array([0]), np.array([1]))
    return bool(redundant)


@pytest.mark.parametrize(
    'preset,num_joints,score,expected',
    [
        ('mpii', 16, 0.05, 49.28),
        ('mpii', 16, 1.0, 49.28),
        ('coco', 17, 0.9, 37.62),
        ('coco', 17, 0.5, 32.53),
        ('coco', 17, 0.3, 30.34),
    ],
)
def test_similarity_of_a_pose_with_itself(preset, num_joints, score, expected):
    pose, scores, box, _, _ = shifted(num_joints, 200, 0, score)
    similarity = similarity_of(pose, scores, box, make_rule(preset))
    same = np.array([0])
    total = similarity.total(*similarity.compare(same, same), same, same)
    assert total == pytest.approx([expected], abs=0.006)


@pytest.mark.parametrize(
    'preset,side,score,radius',
    [
        ('mpii', 60, 0.9, 6.0),
        ('mpii', 150, 0.9, 15.0),
        ('mpii', 300, 0.9, 30.0),
        ('mpii', 600, 0.3, 60.0),
        ('coco', 60, 0.9, 6.0),
        ('coco', 60, 0.3, 6.0),
        ('coco', 150, 0.9, 15.0),
        ('coco', 150, 0.3, 12.6),
        ('coco', 300, 0.9, 30.0),
        ('coco', 300, 0.3, 25.2),
        ('coco', 600, 0.3, 50.4),
        ('alphapose', 60, 0.9, 6.0),
        ('alphapose', 150, 0.9, 7.0),
        ('alphapose', 600, 0.9, 7.0),
        # the paper's box ends at 15, beyond it is the distance term's reach
        ('paper', 600, 0.9, 54.2),
    ],
)
def test_largest_uniform_shift_that_is_redundant(preset, side, score, radius):
    num_joints = 17 if preset in ('coco', 'alphapose') else 16
    rule = make_rule(preset)

    def redundant(shift):
        return is_redundant(*shifted(num_joints, side, shift, score), rule)

    low, high = 0.0, 2.0 * side
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if redundant(middle) else (low, middle)
    assert low == pytest.approx(radius, abs=0.1)


def test_missing_joints_match_nothing_and_do_not_count():
    rule = make_rule('mpii')
    kpts, scores, box, _, _ = shifted(16, 100, 0, 0.9)
    half = kpts.copy()
    half[:, 8:] = np.nan
    zero, zero_scores = kpts.copy(), scores.copy()
    zero[:, 8:] = 0
    zero_scores[:, 8:] = 0
    whole = kpts, scores, box
    for missing in ((half, scores), (zero, zero_scores)):
        assert similarity_of(*missing, box, rule).num_joints.tolist() == [8]
        assert is_redundant(*whole, *missing, rule)
        assert is_redundant(*missing, box, *missing, rule)
    none = kpts * np.nan, scores
    assert not is_redundant(*none, box, *none, rule)
    other = kpts + FAR
    other[:, 8:] = np.nan
    assert not is_redundant(*whole, other, scores, rule)


def test_scores_that_are_not_numbers_are_zero():
    scores = np.array([[np.nan, np.inf, -np.inf, -2.0, 0.0, 0.5, 3.0]])
    expected = [[0, 0, 0, 0, 0, 0.5, 3.0]]
    assert clean_scores(scores).tolist() == expected
    assert clean_scores(torch.from_numpy(scores)).tolist() == expected


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
def test_merging_equals_the_loops(merge, cap):
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
    similarity = similarity_of(kpts, scores, boxes, rule)
    merged, merged_scores = similarity.merge(members, sizes)
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
