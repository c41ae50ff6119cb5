"""Bootstrap over images: intervals of a score, and tests of differences."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np


class NobodyToFind(ValueError):
    """Nobody is annotated, so there is no score."""


class ResampledScore(Protocol):
    """A score that any resample of the images ``image_ids`` (I,) has."""

    image_ids: tuple

    def ap(self, counts: np.ndarray | None = None) -> np.ndarray:
        """Scores (B,), NaN for nobody, with images counted (B, I) times."""


@dataclass(frozen=True)
class BootstrapInterval:
    """A score and what other images of the same kind could have given."""

    value: float
    mean: float  # of the resamples
    low: float
    high: float


@dataclass(frozen=True)
class PairedDifference:
    """How much better one set of results is than another, and the interval."""

    difference: float  # the first's score less the second's
    low: float
    high: float
    p_value: float  # of the hypothesis of no difference, two-sided


def bootstrap_ap(
    score: ResampledScore,
    rng: np.random.Generator,
    num_resamples: int = 1000,
    level: float = 0.95,
) -> BootstrapInterval:
    """Percentile bootstrap interval of a score over images.

    Images are drawn with replacement, as many as there are, each with all
    its people and poses. Resamples with nobody to find are left out; it is
    NobodyToFind where that leaves none.
    """
    counts = resample_counts(len(score.image_ids), num_resamples, rng)
    values = _defined(score.ap(counts))
    value = float(score.ap()[0])
    return BootstrapInterval(
        value, float(values.mean()), *_interval(values, level)
    )


def paired_bootstrap(
    score: ResampledScore,
    other: ResampledScore,
    rng: np.random.Generator,
    num_resamples: int = 1000,
    level: float = 0.95,
) -> PairedDifference:
    """Test two sets of results on the same images against each other.

    Both are scored on the same resamples. With n the smaller of the numbers
    of differences <= 0 and >= 0 among the B resamples, the p value is
    min(1, 2 (n + 1) / (B + 1)), never below 2 / (B + 1).

    Raises:
        ValueError: If the images are not the same.
        NobodyToFind: If no resample has a score.
    """
    if score.image_ids != other.image_ids:
        names = sorted({*score.image_ids} ^ {*other.image_ids}, key=str)
        how = f': image {names[0]} is in one of them only' if names else ''
        raise ValueError(
            'the two results are not of the same images in the same order'
            f'{how}'
        )
    counts = resample_counts(len(score.image_ids), num_resamples, rng)
    values = _defined(score.ap(counts) - other.ap(counts))
    tail = min((values <= 0).sum(), (values >= 0).sum())
    return PairedDifference(
        float(score.ap()[0] - other.ap()[0]),
        *_interval(values, level),
        p_value=float(min(1.0, 2 * (tail + 1) / (len(values) + 1))),
    )


def resample_counts(
    num_images: int, num_resamples: int, rng: np.random.Generator
) -> np.ndarray:
    """How often each of I images is in each of B resamples, (B, I), int."""
    share = np.full(num_images, 1 / num_images)
    return rng.multinomial(num_images, share, size=num_resamples)


def _defined(values: np.ndarray) -> np.ndarray:
    """The scores that are no NaN."""
    values = values[~np.isnan(values)]
    if len(values) == 0:
        raise NobodyToFind('no resample of the images has anybody to find')
    return values


def _interval(values: np.ndarray, level: float) -> list[float]:
    """Both ends."""
    return np.quantile(values, [(1 - level) / 2, (1 + level) / 2]).tolist()
