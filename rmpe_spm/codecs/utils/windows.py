"""Windows around roots or joints, without a loop over pixels or persons.

Convention: a map cell is at integer coordinates (x, y) = (column, row), and
distances are measured after multiplying cell differences by ``metric``
(x, y): (1, 1) measures in cells, the stride in input pixels.
"""

import numpy as np

# no cell of a map is further away, and it fits any integer
FAR = 1e6


def window_axis(
    centers: np.ndarray, reach: float, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates around centres along one axis of a map.

    Args:
        centers (np.ndarray): Centres (...) in cells.
        reach (float): How far from a centre, in cells.
        size (int): Length of the axis, in cells.

    Returns:
        tuple[np.ndarray, np.ndarray]: Coordinates (..., P), int64, P enough
        for every cell in reach, and which of them lie on the map, bool.
    """
    radius = int(reach + 0.5)
    nearest = np.rint(np.clip(centers, -FAR, FAR)).astype(np.int64)
    coordinates = nearest[..., None] + np.arange(-radius, radius + 1)
    return coordinates, (coordinates >= 0) & (coordinates < size)


def windows(
    centers: np.ndarray,
    active: np.ndarray,
    heatmap_size: tuple[int, int],
    tau: float,
    metric: np.ndarray,
    window: str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The cells of the windows around centres.

    Args:
        centers (np.ndarray): Window centres (N, C, 2) in cells.
        active (np.ndarray): Which windows count, (N, C) or (N, 1) bool.
        heatmap_size (tuple[int, int]): Map size (W, H).
        tau (float): Radius of a disc, or half the side of a square window,
            in units of the metric.
        metric (np.ndarray): Units per cell (x, y).
        window (str): ``'disc'`` or ``'square'``.

    Returns:
        tuple[np.ndarray, ...]: x and y (moved onto the map), the squared
        distance to the centre in units of the metric, and whether the cell
        is in the window and on the map: all (N, C, P).
    """
    width, height = heatmap_size
    x, x_inside = window_axis(centers[..., 0], tau / metric[0], width)
    y, y_inside = window_axis(centers[..., 1], tau / metric[1], height)
    dx = (x - centers[..., :1]) * metric[0]
    dy = (y - centers[..., 1:]) * metric[1]
    squared = dy[..., :, None] ** 2 + dx[..., None, :] ** 2
    if window == 'square':
        x_inside = x_inside & (np.abs(dx) <= tau)
        y_inside = y_inside & (np.abs(dy) <= tau)
    inside = y_inside[..., :, None] & x_inside[..., None, :]
    if window == 'disc':
        inside &= squared <= tau**2
    inside &= active[..., None, None]
    shape = (*centers.shape[:-1], -1)
    x = np.broadcast_to(x[..., None, :], inside.shape).reshape(shape)
    y = np.broadcast_to(y[..., :, None], inside.shape).reshape(shape)
    return (
        np.clip(x, 0, width - 1),
        np.clip(y, 0, height - 1),
        squared.reshape(shape),
        inside.reshape(shape),
    )


def window_mask(
    centers: np.ndarray,
    valid: np.ndarray,
    heatmap_size: tuple[int, int],
    tau: float,
    metric: np.ndarray,
    window: str = 'disc',
) -> np.ndarray:
    """The cells that lie in any of the windows of a channel.

    Args:
        centers (np.ndarray): Window centres (N, C, 2) in cells.
        valid (np.ndarray): Which windows count, (N, C) bool.
        heatmap_size (tuple[int, int]): Map size (W, H).
        tau (float): As in :func:`windows`.
        metric (np.ndarray): Units per cell (x, y).
        window (str): ``'disc'`` or ``'square'``. Defaults to ``'disc'``.

    Returns:
        np.ndarray: Masks (C, H, W), bool.
    """
    width, height = heatmap_size
    masks = np.zeros((centers.shape[1], height, width), dtype=bool)
    x, y, _, inside = windows(
        centers, valid, heatmap_size, tau, metric, window
    )
    _, channels, _ = np.nonzero(inside)
    masks[channels, y[inside], x[inside]] = True
    return masks
