"""Heatmaps to train with, without a loop over pixels, joints or persons.

Cells and ``metric`` are those of :mod:`rmpe_spm.codecs.utils.windows`.
"""

import numpy as np

from .windows import window_axis, window_mask

# a Gaussian is cut where it falls below this, the resolution of float32
GAUSSIAN_FLOOR = 1e-7
# what counts as a peak's foreground
FOREGROUND_THR = 0.01


def gaussian_maps(
    centers: np.ndarray,
    valid: np.ndarray,
    heatmap_size: tuple[int, int],
    exponent_scale: float,
    metric: np.ndarray,
) -> np.ndarray:
    r"""Draw Gaussian peaks; where they overlap the highest counts.

    .. math::
        C_c(p) = \max_n \exp(-\|p - \mu_{n,c}\|^2 / s)

    Args:
        centers (np.ndarray): Peaks (N, C, 2) in cells.
        valid (np.ndarray): Which are drawn, (N, C) bool.
        heatmap_size (tuple[int, int]): Map size (W, H).
        exponent_scale (float): ``s``, in squared units of the metric:
            sigma^2 in SPM's form, 2 sigma^2 in the usual one.
        metric (np.ndarray): Units per cell (x, y).

    Returns:
        np.ndarray: Maps (C, H, W), float32. Values below 1e-7 are 0.
    """
    width, height = heatmap_size
    num_channels = centers.shape[1]
    maps = np.zeros((num_channels, height, width), dtype=np.float32)
    persons, channels = np.nonzero(valid)
    if len(persons) == 0:
        return maps
    centers = centers[persons, channels]
    reach = np.sqrt(-np.log(GAUSSIAN_FLOOR) * exponent_scale) / metric
    x, x_inside = window_axis(centers[:, 0], reach[0], width)
    y, y_inside = window_axis(centers[:, 1], reach[1], height)
    # a Gaussian is the product of one along x and one along y
    dx = (x - centers[:, :1]) * metric[0]
    dy = (y - centers[:, 1:]) * metric[1]
    along_x = np.exp(-(dx**2) / exponent_scale).astype(np.float32) * x_inside
    along_y = np.exp(-(dy**2) / exponent_scale).astype(np.float32) * y_inside
    values = along_y[:, :, None] * along_x[:, None, :]
    rows = channels[:, None] * height + np.clip(y, 0, height - 1)
    cells = rows[:, :, None] * width + np.clip(x, 0, width - 1)[:, None, :]
    np.maximum.at(maps.reshape(-1), cells.reshape(-1), values.reshape(-1))
    maps[maps < GAUSSIAN_FLOOR] = 0
    return maps


def heatmap_weights(
    heatmaps: np.ndarray,
    centers: np.ndarray,
    drawn: np.ndarray,
    small: np.ndarray,
    tau: float,
    metric: np.ndarray,
    window: str = 'disc',
    background_weight: float = 1,
) -> np.ndarray:
    """How much each cell of the heatmaps counts in the loss.

    Args:
        heatmaps (np.ndarray): What is drawn, (C, H, W).
        centers (np.ndarray): Joints and roots (N, C, 2) in cells.
        drawn (np.ndarray): Which of them are drawn, (N, C) bool.
        small (np.ndarray): Which of them belong to persons too small to be
            drawn, (N, C) bool: the windows around them count neither as
            person nor as background.
        tau (float): Of these windows, see
            :func:`~rmpe_spm.codecs.utils.windows.windows`.
        metric (np.ndarray): Units per cell (x, y).
        window (str): ``'disc'`` or ``'square'``. Defaults to ``'disc'``.
        background_weight (float): Weight where a map is 0.01 or less.
            Defaults to 1.

    Returns:
        np.ndarray: Weights (C, H, W), float32: 1 on peaks,
        ``background_weight`` off them, 0 around what is too small, where
        nothing that is drawn has a window.
    """
    weights = np.full_like(heatmaps, background_weight)
    if background_weight != 1:
        weights[heatmaps > FOREGROUND_THR] = 1
    if small.any():
        size = heatmaps.shape[:0:-1]
        ignored, kept = (
            window_mask(centers, which, size, tau, metric, window)
            for which in (small, drawn)
        )
        weights[ignored & ~kept] = 0
    return weights
