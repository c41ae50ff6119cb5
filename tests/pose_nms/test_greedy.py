"""Greedy elimination: by hand, and the parametric rule beside plain loops."""

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redundant_poses import looped_clusters

from rmpe_spm.pose_nms import greedy
from rmpe_spm.pose_nms.base import flatten_poses
from rmpe_spm.pose_nms.greedy import eliminate, group_clusters, pose_extents
from rmpe_spm.pose_nms.rule import PRESETS, make_rule
from rmpe_spm.pose_nms.similarity import PoseSimilarity


def test_a_pose_that_is_gone_suppresses_none():
    """Numbers within 1 are redundant: 5 takes 4, so 4 can't take 3."""
    values = np.array([5.0, 4.0, 3.0, 5.5, 9.0, 5.0])

    def redundant(i, j):
        return abs(values[j] - values[i]) <= 1

    suppressed_by = eliminate([0, 5, 1], redundant)
    assert suppressed_by.tolist() == [0, 0, 2, 0, 4, 5]
    kept, members, sizes = group_clusters(suppressed_by)
    assert np.flatnonzero(kept).tolist() == [0, 2, 4, 5]
    assert members.tolist() == [0, 1, 3, 2, 4, 5]
    assert sizes.tolist() == [3, 1, 1, 1]
    for nothing in ([], [0, 0]):
        assert eliminate(nothing, None).tolist() == []


def looped_redundant(rule, kpts, scores, boxes, i, j):
    """Eqs. 7-10 for one pair, written out joint by joint."""
    width, height = boxes[i, 2:] - boxes[i, :2]
    reference = max(rule.alpha * max(width, height), 1)
    unit = reference if rule.distance_unit == 'box' else 1
    similarity = matches = present = 0
    for (xi, yi), (xj, yj), ci, cj in zip(
        kpts[i], kpts[j], scores[i], scores[j], strict=True
    ):
        if not math.isfinite(xj + yj):
            continue
        present += 1
        if not math.isfinite(xi + yi):
            continue
        distance = math.hypot(xi - xj, yi - yj)
        if rule.box_shape == 'rectangle':
            inside = abs(xi - xj) <= max(rule.alpha * width / 2, 1)
            inside &= abs(yi - yj) <= max(rule.alpha * height / 2, 1)
        else:
            inside = distance <= unit
        if inside:
            ci, cj = max(ci, 1e-5), max(cj, 1e-5)
            similarity += math.tanh(ci / rule.sigma1) * math.tanh(
                cj / rule.sigma1
            )
        relative = distance / unit
        if rule.kernel == 'gaussian':
            relative = relative**2
        similarity += rule.lambda_ * math.exp(-relative / rule.sigma2)
        matches += distance <= min(reference, rule.match_cap)
    if present == 0:
        return False
    if rule.match_fraction is not None and (
        matches / present >= rule.match_fraction - 1e-9
    ):
        return True
    return similarity / present >= rule.eta


def looped(rule, kpts, scores, boxes, first=0):
    """Greedy elimination of poses that are sorted already."""
    redundant = partial(looped_redundant, rule, kpts, scores, boxes)
    suppressed_by = [0] * len(kpts)
    for cluster in looped_clusters(range(len(kpts)), redundant):
        for pose in cluster:
            suppressed_by[pose] = cluster[0] + first
    return suppressed_by


def crowd(seed, people, copies, num_joints):
    """Groups of similar poses of many sizes, some joints missing."""
    rng = np.random.default_rng(seed)
    height = np.exp(rng.uniform(1, 5.5, people))
    centre = rng.uniform(0, 300, (people, 1, 2))
    pose = rng.uniform(-0.5, 0.5, (people, num_joints, 2))
    kpts = np.repeat(centre + pose * height[:, None, None], copies, 0)
    height = np.repeat(height, copies)
    noise = rng.choice([0.0, 0.02, 0.06, 0.15], (len(kpts), 1, 1))
    noise = noise * height[:, None, None]
    kpts = kpts + rng.normal(size=kpts.shape) * noise
    # joints of another person, as in overlapping people
    strange = rng.random(kpts.shape[:2]) < 0.2
    kpts[strange] = rng.permutation(kpts)[strange]
    kpts[rng.random(kpts.shape[:2]) < 0.05] = np.nan
    scores = rng.random(kpts.shape[:2]) * (rng.random(kpts.shape[:2]) < 0.9)
    half = (0.5 * height)[:, None]
    middle = np.repeat(centre[:, 0], copies, 0)
    boxes = np.concatenate([middle - half * 0.7, middle + half], 1)
    order = rng.permutation(len(kpts))
    return kpts[order], scores[order], boxes[order]


RULES = [make_rule(name) for name in PRESETS] + [
    make_rule('mpii', eta=0.2),
    make_rule('paper', lambda_=3.0, eta=1.0, sigma2=4.0),
    make_rule('coco', match_fraction=0.2, eta=2.0, match_cap=math.inf),
    # the rectangle reaches farther than the distance term, in pixels
    make_rule('paper', distance_unit='pixel', eta=0.9, lambda_=0.5, alpha=0.5),
]


@pytest.mark.parametrize('rule', RULES, ids=lambda rule: f'{rule.eta:.2f}')
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    people=st.integers(1, 7),
    copies=st.integers(1, 4),
    num_joints=st.integers(1, 17),
    first=st.integers(0, 28),
    # of one pose, of four and of all
    block=st.sampled_from([1, 1024, 1 << 13]),
)
def test_the_parametric_rule_equals_the_loops(
    seed, people, copies, num_joints, first, block, rule
):
    """In blocks of any size, for images that are kept apart."""
    arrays = crowd(seed, people, copies, num_joints)
    number = people * copies
    first = min(first, number)
    expected = looped(rule, *(a[:first] for a in arrays))
    expected += looped(rule, *(a[first:] for a in arrays), first)
    poses = flatten_poses(*([array] for array in arrays))
    similarity = PoseSimilarity(poses, rule)
    extents = pose_extents(similarity.x, similarity.y)
    sizes = [0, first, 0, number - first, 0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(greedy, '_BLOCK', block)
        found = eliminate(
            sizes, similarity.redundant, extents, similarity.reach
        )
    assert found.tolist() == expected
