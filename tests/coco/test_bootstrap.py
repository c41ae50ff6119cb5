"""Intervals and tests by hand, and of scores whose intervals are known."""

import numpy as np
import pytest

from rmpe_spm.coco.bootstrap import (
    bootstrap_ap,
    paired_bootstrap,
    resample_counts,
)


class MeanOf:
    """The mean of a number of every image: its interval is known."""

    def __init__(self, values, image_ids=None):
        self.values = np.asarray(values, float)
        self.image_ids = image_ids or tuple(range(len(self.values)))

    def ap(self, counts=None):
        if counts is None:
            counts = np.ones((1, len(self.values)))
        return counts @ self.values / counts.sum(1)


def rng():
    return np.random.default_rng(3)


def test_interval_of_a_mean():
    values = np.random.default_rng(0).normal(0.5, 0.2, 400)
    found = bootstrap_ap(MeanOf(values), rng(), num_resamples=4000)
    assert found.value == pytest.approx(values.mean())
    assert found.mean == pytest.approx(values.mean(), abs=1e-3)
    half = 1.96 * values.std() / 20
    assert found.low == pytest.approx(values.mean() - half, abs=0.0015)
    assert found.high == pytest.approx(values.mean() + half, abs=0.0015)
    narrow = bootstrap_ap(MeanOf(values), rng(), 4000, level=0.5)
    half = 0.674 * values.std() / 20
    assert narrow.low == pytest.approx(values.mean() - half, abs=0.0015)


def test_p_values():
    noise = np.random.default_rng(0).normal(size=(2, 200))
    base = MeanOf(noise[0])
    better = MeanOf(noise[0] + 0.1 + 0.1 * noise[1])
    found = paired_bootstrap(better, base, rng(), 999)
    assert found.difference == pytest.approx(
        0.1 + 0.1 * noise[1].mean(), abs=1e-12
    )
    assert 0 < found.low < found.difference < found.high
    assert found.p_value == pytest.approx(2 / 1000)
    back = paired_bootstrap(base, better, rng(), 999)
    assert back.difference == pytest.approx(-found.difference)
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low))
    assert back.p_value == found.p_value
    same = paired_bootstrap(base, base, rng(), 999)
    assert (same.difference, same.low, same.high, same.p_value) == (0, 0, 0, 1)


def test_p_value_by_hand():
    """Differences -1, 0 and 1 with the known counts."""
    counts = resample_counts(2, 1000, rng())
    found = paired_bootstrap(MeanOf([0, 3]), MeanOf([1, 2]), rng(), 1000)
    values = counts @ np.array([-1, 1]) / 2
    tail = min((values <= 0).sum(), (values >= 0).sum())
    assert 400 < tail < 800
    assert found.p_value == min(1, 2 * (tail + 1) / 1001)
    assert (found.low, found.high) == (-1, 1)


def test_other_images():
    with pytest.raises(ValueError, match='image b is in one of them only'):
        paired_bootstrap(
            MeanOf([0, 1], ('a', 'b')), MeanOf([0, 1], ('a', 'c')), rng()
        )
    with pytest.raises(ValueError, match='in the same order'):
        paired_bootstrap(
            MeanOf([0, 1], ('a', 'b')), MeanOf([0, 1], ('b', 'a')), rng()
        )


def test_resamples_without_people():
    """Left out; an error where no other are."""
    some = MeanOf([0.5, np.nan])
    some.ap = lambda counts=None: np.array([0.5, np.nan, 0.7])
    found = bootstrap_ap(some, rng(), 3, level=1.0)
    assert (found.low, found.high) == (0.5, 0.7)
    assert found.mean == pytest.approx(0.6)
    with pytest.raises(ValueError, match='anybody to find'):
        bootstrap_ap(MeanOf([np.nan]), rng())
