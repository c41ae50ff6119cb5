"""Greedy elimination by hand."""

import numpy as np

from rmpe_spm.pose_nms.greedy import eliminate, eliminate_pairs


def test_a_pose_that_is_gone_eliminates_none():
    """Numbers within 1 are redundant: 5 takes 4, so 4 can't take 3."""
    values = np.array([3.0, 5.0, 4.0, 5.5, 9.0, 5.0])
    images = np.array([0, 0, 0, 0, 0, 1])
    order = np.array([1, 2, 0, 3, 4, 5])
    calls = []

    def redundant(pick, others):
        calls.append((pick, others.tolist()))
        return abs(values[others] - values[pick]) <= 1

    owners = eliminate(order, images, redundant)
    assert owners.tolist() == [0, 0, 2, 0, 4, 5]
    assert calls == [(1, [2, 0, 3, 4]), (0, [4])]


def test_nothing():
    nothing = np.zeros(0, dtype=int)
    assert eliminate(nothing, nothing, None).tolist() == []


def test_pairs_in_two_blocks():
    """0 takes 1 and 3, so 1 can't take 2, which takes 4 after all."""
    owners, alive = np.arange(6), np.ones(6, dtype=bool)
    pairs = np.array([[0, 1], [0, 3], [1, 2], [2, 3], [2, 4], [4, 5]])
    for block in (pairs[:4], pairs[:0], pairs[4:]):
        eliminate_pairs(*block.T, owners, alive)
    assert owners.tolist() == [0, 0, 2, 0, 2, 5]
    assert alive.tolist() == [True, False, True, False, False, True]
