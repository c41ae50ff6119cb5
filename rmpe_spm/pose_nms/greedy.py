"""Greedy elimination: the best pose takes all that are redundant with it."""

from collections.abc import Callable

import numpy as np

from .base import PoseBatch, Selection

Extents = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]

# Pairs of poses compared at once: few enough that their joints stay in a
# core's cache, and that a crowd's best poses are gone through one by one.
_BLOCK = 1 << 14


def pose_extents(x: np.ndarray, y: np.ndarray) -> Extents:
    """Lowest and highest x, lowest and highest y (N,) of poses, or NaN."""
    # numpy is several times slower along the other axis
    x, y = np.ascontiguousarray(x.T), np.ascontiguousarray(y.T)
    return tuple(
        extreme.reduce(places, initial=np.nan)
        for places in (x, y)
        for extreme in (np.fmin, np.fmax)
    )


def select_greedily(
    poses: PoseBatch,
    redundant: Callable[[np.ndarray, np.ndarray], np.ndarray],
    extents: Extents | None = None,
    reach: np.ndarray | None = None,
) -> Selection:
    """Keep the best pose of an image, drop what is redundant, and so on.

    Pairs of poses are compared block by block, those within ``reach`` (T,) of
    each other and not dropped yet: memory is O(N K), also for thousands of
    poses in one image. ``redundant`` tells of indices i and j of pairs of
    poses of one image, i before j, whether j is redundant with i.
    """
    suppressed_by = eliminate(poses.sizes, redundant, extents, reach)
    kept, members, sizes = group_clusters(suppressed_by)
    return Selection(
        members,
        sizes,
        poses.keypoints[kept],
        poses.keypoint_scores[kept],
        poses.person_scores[kept],
    )


def group_clusters(
    suppressed_by: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Group poses by the pose (T,) that suppresses each, itself if kept."""
    kept = suppressed_by == np.arange(len(suppressed_by))
    cluster = (kept.cumsum() - 1)[suppressed_by]
    return kept, np.argsort(cluster, kind='stable'), np.bincount(cluster)


def eliminate(
    sizes: np.ndarray,
    redundant: Callable[[np.ndarray, np.ndarray], np.ndarray],
    extents: Extents | None = None,
    reach: np.ndarray | None = None,
) -> np.ndarray:
    """Which pose suppresses each pose, (T,); its own index if it is kept."""
    ends = np.repeat(np.cumsum(sizes, dtype=np.intp), sizes)
    suppressed_by = np.arange(len(ends))
    active = np.ones(len(ends), dtype=bool)
    start = 0
    while len(left := np.flatnonzero(active[start:]) + start):
        in_image = np.searchsorted(left, ends[left[0]])
        rows = left[: max(_BLOCK // max(in_image, 256), 1)]
        columns = left[: np.searchsorted(left, ends[rows[-1]])]
        near = columns > rows[:, None]
        near &= columns < ends[rows][:, None]
        if extents is not None:
            near &= _within_reach(extents, rows, columns, reach[rows])
        i, j = np.nonzero(near)
        i, j = rows[i], columns[j]
        chosen = redundant(i, j)
        _suppress(i[chosen], j[chosen], suppressed_by, active)
        start = rows[-1] + 1
    return suppressed_by


def _within_reach(
    extents: Extents, rows: np.ndarray, columns: np.ndarray, reach: np.ndarray
) -> np.ndarray:
    """Whether the columns' extents come within the rows' reach, (R, C)."""
    x_low, x_high, y_low, y_high = extents
    near = x_low[columns] <= (x_high[rows] + reach)[:, None]
    near &= x_high[columns] >= (x_low[rows] - reach)[:, None]
    near &= y_low[columns] <= (y_high[rows] + reach)[:, None]
    near &= y_high[columns] >= (y_low[rows] - reach)[:, None]
    return near


def _suppress(
    references: np.ndarray,
    candidates: np.ndarray,
    suppressed_by: np.ndarray,
    active: np.ndarray,
) -> None:
    """Let ascending references take what is left of their candidates."""
    first = np.ones(len(references), dtype=bool)
    first[1:] = references[1:] != references[:-1]
    starts = np.flatnonzero(first).tolist()
    stops = [*starts[1:], len(references)]
    for start, stop in zip(starts, stops, strict=False):
        row = references[start]
        if active[row]:
            taken = candidates[start:stop]
            taken = taken[active[taken]]
            suppressed_by[taken] = row
            active[taken] = False
