"""The greedy rule against straight loops."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rmpe_spm.pose_nms import greedy as pose_nms
from rmpe_spm.pose_nms.greedy import greedy_owners, pairs_on_device
from rmpe_spm.pose_nms.rule import PRESETS, make_rule
from rmpe_spm.pose_nms.similarity import pose_terms


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


def looped_owners(rule, kpts, scores, boxes, first=0):
    """Greedy elimination of poses that are sorted already."""
    left = list(range(len(kpts)))
    owners = [0] * len(kpts)
    while left:
        pick = left[0]
        gone = [
            j
            for j in left[1:]
            if looped_redundant(rule, kpts, scores, boxes, pick, j)
        ]
        for j in [pick, *gone]:
            owners[j] = pick + first
            left.remove(j)
    return owners


def crowd(seed, people, copies, num_joints, spread=300.0):
    """Groups of similar poses of many sizes, some joints missing."""
    rng = np.random.default_rng(seed)
    height = np.exp(rng.uniform(1, 5.5, people))
    centre = rng.uniform(0, spread, (people, 1, 2))
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

# the GPU's owners must be those of the loops, too, where there is one
DEVICES = ['cpu', *(['cuda'] if torch.cuda.is_available() else [])]


@pytest.mark.parametrize('rule', RULES, ids=lambda rule: f'{rule.eta:.2f}')
@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    people=st.integers(1, 6),
    copies=st.integers(1, 4),
    num_joints=st.integers(1, 17),
)
def test_owners_are_those_of_the_loops(seed, people, copies, num_joints, rule):
    kpts, scores, boxes = crowd(seed, people, copies, num_joints)
    terms = pose_terms(kpts, scores, boxes, rule)
    expected = looped_owners(rule, kpts, scores, boxes)
    owners = greedy_owners(terms, [len(kpts)], rule)
    assert owners.tolist() == expected

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pose_nms, '_FEW', 0)
        owners = greedy_owners(terms, [len(kpts)], rule)
    assert owners.tolist() == expected
    for device in DEVICES:
        tensors = terms.to(torch.device(device))
        assert greedy_owners(tensors, [len(kpts)], rule).tolist() == expected


@pytest.mark.parametrize('rule', RULES[:4], ids=list(PRESETS))
def test_blocks_and_trees_and_chunks_change_nothing(rule, monkeypatch):
    kpts, scores, boxes = crowd(1, 60, 5, 17)
    terms = pose_terms(kpts, scores, boxes, rule)
    expected = looped_owners(rule, kpts, scores, boxes)
    assert len(set(expected)) < 250
    for settings_ in (
        dict(_CHUNK=100),
        dict(_BLOCK=2000),
        dict(_CROWD=30),
        dict(_FEW=1 << 30),
        dict(_CROWD=30, _CHUNK=1000),
    ):
        with monkeypatch.context() as patch:
            for name, value in settings_.items():
                patch.setattr(pose_nms, name, value)
            owners = greedy_owners(terms, [len(kpts)], rule)
        assert owners.tolist() == expected
    monkeypatch.setattr(pose_nms, '_CHUNK_GPU', 17 * 1000)
    tensors = terms.to(torch.device('cpu'))
    assert greedy_owners(tensors, [len(kpts)], rule).tolist() == expected


@pytest.mark.parametrize('crowd_size', [5, 1000])
@pytest.mark.parametrize('as_tensor', [False, True])
def test_images_of_a_batch_are_apart(as_tensor, crowd_size, monkeypatch):
    monkeypatch.setattr(pose_nms, '_CROWD', crowd_size)
    rule = make_rule('coco')
    sizes = [0, 3, 1, 0, 12, 2, 40, 4, 0]
    kpts, scores, boxes = crowd(7, sum(sizes), 1, 5, spread=5.0)
    expected, start = [], 0
    for size in sizes:
        part = slice(start, start + size)
        expected += looped_owners(
            rule, kpts[part], scores[part], boxes[part], start
        )
        start += size
    terms = pose_terms(kpts, scores, boxes, rule)
    if as_tensor:
        terms = terms.to(torch.device('cpu'))
    assert greedy_owners(terms, sizes, rule).tolist() == expected


def test_device_pairs_are_sorted_by_reference():
    rule = make_rule('mpii')
    kpts, scores, boxes = crowd(3, 5, 4, 6)
    terms = pose_terms(kpts, scores, boxes, rule).to(torch.device('cpu'))
    ends = np.full(len(kpts), len(kpts))
    ((i, j),) = pairs_on_device(terms, ends, rule)
    pairs = list(zip(i.tolist(), j.tolist(), strict=True))
    assert pairs == sorted(pairs)
    assert set(pairs) == {
        (a, b)
        for a in range(len(kpts))
        for b in range(a + 1, len(kpts))
        if looped_redundant(rule, kpts, scores, boxes, a, b)
    }
