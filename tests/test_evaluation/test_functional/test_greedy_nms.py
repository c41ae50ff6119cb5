"""Greedy elimination by hand."""

import numpy as np

from rmpe_spm.evaluation.functional.greedy_nms import eliminate


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
