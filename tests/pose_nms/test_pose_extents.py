"""Pairs of poses whose extents come near each other."""

import numpy as np
import pytest

from rmpe_spm.pose_nms.greedy import (
    overlapping_blocks,
    overlapping_pairs,
    pose_extents,
)


def test_extents_leave_out_missing_joints():
    x = np.array([[3.0, np.nan, 1.0], [np.nan] * 3, [5.0, 5.0, 5.0]])
    y = np.array([[0.0, 7.0, -2.0], [np.nan] * 3, [4.0, 9.0, np.nan]])
    expected = [1, np.nan, 5], [3, np.nan, 5], [-2, np.nan, 4], [7, np.nan, 9]
    for extent, numbers in zip(pose_extents(x, y), expected, strict=True):
        np.testing.assert_array_equal(extent, numbers)
    for extent in pose_extents(np.zeros((2, 0)), np.zeros((2, 0))):
        assert np.isnan(extent).all() and extent.shape == (2,)


def test_the_reach_is_the_references():
    """Squares of side 1; the gaps along x are 1 and 2, along y 3."""
    x = np.array([[0.0, 1], [2, 3], [5, 6], [5, 6], [0, 1]])
    y = np.array([[0.0, 1], [0, 1], [0, 1], [4, 5], [0, 1]])
    ends = np.array([4, 4, 4, 4, 5])
    extents = pose_extents(x, y)
    every = np.arange(5)

    def pairs(*reach):
        i, j = overlapping_pairs(extents, every, every, np.array(reach), ends)
        return list(zip(i.tolist(), j.tolist(), strict=True))

    assert pairs(0.9, 1.9, 2.9, 9, 9) == []
    assert pairs(1, 0, 0, 0, 0) == [(0, 1)]
    assert pairs(0, 2, 3, 0, 0) == [(1, 2), (2, 3)]
    # neither back to the references before nor to another image
    assert pairs(9, 0, 0, 9, 9) == [(0, 1), (0, 2), (0, 3)]


@pytest.mark.parametrize('size', [1, 256 * 3, 1 << 15])
def test_blocks_hold_every_pair_once_and_leave_out_the_dead(size):
    rng = np.random.default_rng(0)
    sizes = [0, 7, 1, 12, 0, 30]
    ends = np.repeat(np.cumsum(sizes), sizes)
    x, y = rng.uniform(0, 50, (2, 50, 1)) + rng.uniform(0, 9, (2, 50, 4))
    reach = rng.uniform(0, 9, 50)
    extents = pose_extents(x, y)
    every = np.arange(50)
    expected = np.stack(overlapping_pairs(extents, every, every, reach, ends))
    alive = np.ones(50, dtype=bool)
    blocks = list(overlapping_blocks(extents, reach, ends, alive, size))
    assert (len(blocks) == 1) == (size == 1 << 15)
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), expected)

    alive[::3] = False
    blocks = list(overlapping_blocks(extents, reach, ends, alive, size))
    both = alive[expected].all(axis=0)
    assert 0 < both.sum() < len(both)
    np.testing.assert_array_equal(
        np.concatenate(blocks, axis=1), expected[:, both]
    )
    alive[:] = False
    assert not list(overlapping_blocks(extents, reach, ends, alive, size))
