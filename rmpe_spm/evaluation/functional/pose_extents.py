"""Pairs of poses near each other, found by the extents of their joints."""

from collections.abc import Iterator

import numpy as np

Extents = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
Pairs = tuple[np.ndarray, np.ndarray]


def pose_extents(x: np.ndarray, y: np.ndarray) -> Extents:
    """Smallest and largest coordinates of every pose's joints.

    Args:
        x (np.ndarray): Coordinates (N, K); NaN for a missing joint.
        y (np.ndarray): The same for y.

    Returns:
        tuple: Lowest x, highest x, lowest y and highest y, each (N,); NaN
        of a pose without joints.
    """
    # numpy is several times slower along the other axis
    x, y = np.ascontiguousarray(x.T), np.ascontiguousarray(y.T)
    return (
        np.fmin.reduce(x, initial=np.nan),
        np.fmax.reduce(x, initial=np.nan),
        np.fmin.reduce(y, initial=np.nan),
        np.fmax.reduce(y, initial=np.nan),
    )


def overlapping_pairs(
    extents: Extents,
    rows: np.ndarray,
    columns: np.ndarray,
    reach: np.ndarray,
    ends: np.ndarray,
) -> Pairs:
    """Pairs in one image whose extents come within the row's reach.

    Args:
        extents (tuple): Of all poses (N), from :func:`pose_extents`.
        rows (np.ndarray): Ascending indices of the references.
        columns (np.ndarray): Ascending indices of the candidates.
        reach (np.ndarray): Each pose's reach (N,), in pixels.
        ends (np.ndarray): For every pose, the end of its image (N,).

    Returns:
        tuple: Indices of the references and of the candidates, all of them
        later than their reference, in ascending order.
    """
    x_low, x_high, y_low, y_high = extents
    margin = reach[rows]
    near = columns > rows[:, None]
    if ends[rows[0]] != ends[rows[-1]]:
        near &= columns < ends[rows][:, None]
    near &= x_low[columns] <= (x_high[rows] + margin)[:, None]
    near &= x_high[columns] >= (x_low[rows] - margin)[:, None]
    near &= y_low[columns] <= (y_high[rows] + margin)[:, None]
    near &= y_high[columns] >= (y_low[rows] - margin)[:, None]
    i, j = np.nonzero(near)
    return rows[i], columns[j]


def overlapping_blocks(
    extents: Extents,
    reach: np.ndarray,
    ends: np.ndarray,
    alive: np.ndarray,
    size: int,
) -> Iterator[Pairs]:
    """The overlapping pairs of all poses, a block of references at a time.

    Args:
        extents (tuple): Of all poses (N), from :func:`pose_extents`.
        reach (np.ndarray): Each pose's reach (N,), in pixels.
        ends (np.ndarray): For every pose, the end of its image (N,).
        alive (np.ndarray): Poses not yet eliminated (N,); read again before
            each block.
        size (int): About how many pairs of poses a block compares.

    Yields:
        tuple: Indices of the references and of the candidates.
    """
    start = 0
    while start < len(ends):
        left = np.flatnonzero(alive[start:]) + start
        if len(left) == 0:
            return
        in_image = np.searchsorted(left, ends[left[0]])
        rows = left[: max(size // max(in_image, 256), 1)]
        columns = left[: np.searchsorted(left, ends[rows[-1]])]
        yield overlapping_pairs(extents, rows, columns, reach, ends)
        start = rows[-1] + 1
