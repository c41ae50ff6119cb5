"""Peaks of heatmaps, and what joints do with those of their own.

Places are (x, y) in cells of the map; flat cells count row by row. Nothing
here waits for the device.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


def find_peaks(
    heatmaps: Tensor, nms_kernel: int, max_peaks: int
) -> tuple[Tensor, Tensor]:
    """Find the M = ``max_peaks`` highest local maxima of maps (B, H, W).

    Of equal ones in a window of ``nms_kernel`` cells the first stays. Gives
    scores (B, M), descending and 0 where there is no further peak, and flat
    cells (B, M), int64.
    """
    radius = nms_kernel // 2
    # in place, where a comparison is vectorised: 1 at peaks, else 0
    is_peak = _window_maximum(heatmaps, radius).eq_(heatmaps)
    # A root halfway between cells gives equal neighbours, all of them the
    # highest. They must not take up places of other peaks: the first one
    # stays.
    height, width = heatmaps.shape[1:]
    order = torch.arange(
        height * width, 0, -1, dtype=torch.float32, device=is_peak.device
    )
    order = order.reshape(height, width) * is_peak
    is_peak *= _window_maximum(order, radius).eq_(order)
    peaks = (is_peak * heatmaps).flatten(1)
    return peaks.topk(min(max_peaks, peaks.shape[1]), dim=1)


def _window_maximum(maps: Tensor, radius: int) -> Tensor:
    """Highest value in the window around each cell of maps (B, H, W).

    What max pooling computes, many times faster on CPU: shifted maxima along
    one axis and then the other, each twice as wide as the one before, over
    the padded rows of all maps end to end.
    """
    size = 2 * radius + 1
    if torch.onnx.is_in_onnx_export():  # which has no as_strided
        return F.max_pool2d(maps[:, None], size, 1, radius)[:, 0]
    padded = F.pad(maps, (radius,) * 4, value=float('-inf')).contiguous()
    best = padded.flatten()
    for stride in padded.stride()[:0:-1]:
        reached = 1
        while reached < size:
            step = min(reached, size - reached)
            best = torch.maximum(best[: -step * stride], best[step * stride :])
            reached += step
    return best.as_strided(maps.shape, padded.stride())


@dataclass(frozen=True)
class Snapping:
    r"""How joints move to peaks, above ``thr``, of their own heatmaps.

    ``distance`` is r, as a fraction of the diagonal of the person's joints.
    ``to`` is ``'nearest'``, the nearest peak within r, or ``'best'``, the one
    with the highest score times :math:`\exp(-d^2 / (2 r^2))`.
    """

    thr: float
    distance: float = 0.1
    to: str = 'nearest'


def find_joint_peaks(
    heatmaps: Tensor,
    score_thr: float,
    nms_kernel: int,
    offsets: Tensor | None = None,
    max_peaks: int = 40,
) -> Tensor:
    """Find the peaks (B, K, P, 3) of heatmaps to which joints snap.

    These are x and y, infinite where no peak is above ``score_thr``, and the
    score. A peak's place is its cell plus the offset there (B, 2K, H, W), or
    without offsets a quarter cell towards its higher neighbour.
    """
    maps = heatmaps.float().flatten(0, 1)
    width = maps.shape[-1]
    scores, cells = find_peaks(maps, nms_kernel, max_peaks)
    x, y = cells % width, cells // width
    if offsets is None:
        steps = _quarter_steps(maps, x, y)
    else:
        index = cells[:, None].expand(-1, 2, -1)
        steps = offsets.reshape(maps.shape[0], 2, -1).gather(2, index)
        steps = steps.transpose(1, 2).float()
    places = torch.stack((x, y), dim=-1) + steps
    places = torch.where(scores[..., None] > score_thr, places, float('inf'))
    peaks = torch.cat((places, scores[..., None]), dim=-1)
    return peaks.unflatten(0, heatmaps.shape[:2])


def _quarter_steps(maps: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """A quarter cell towards the higher neighbours of cells (B, P)."""
    height, width = maps.shape[-2:]

    def value(x: Tensor, y: Tensor) -> Tensor:
        x, y = x.clamp(0, width - 1), y.clamp(0, height - 1)
        return maps.flatten(1).gather(1, y * width + x)

    step_x = (value(x + 1, y) - value(x - 1, y)).sign() * 0.25
    step_y = (value(x, y + 1) - value(x, y - 1)).sign() * 0.25
    return torch.stack((step_x, step_y), dim=-1)


def snap_to_peaks(
    keypoints: Tensor, peaks: Tensor, reach: Tensor, to: str = 'nearest'
) -> Tensor:
    """Move joints (B, M, K, 2) to peaks (B, K, P, 3) within reach (B, M)."""
    places = peaks[:, None, ..., :2].expand(-1, keypoints.shape[1], -1, -1, -1)
    distance = (places - keypoints[:, :, :, None]).norm(dim=-1)
    reach = reach[:, :, None, None]
    if to == 'best':
        weights = torch.exp(-((distance / reach) ** 2) / 2)
        best, index = (weights * peaks[:, None, ..., 2]).max(-1, keepdim=True)
        moves = best > 0
    else:
        nearest, index = distance.min(dim=-1, keepdim=True)
        moves = nearest <= reach
    index = index[..., None].expand(-1, -1, -1, -1, 2)
    return torch.where(moves, places.gather(3, index)[:, :, :, 0], keypoints)


def sample_keypoint_scores(heatmaps: Tensor, keypoints: Tensor) -> Tensor:
    """Read joints' heatmaps bilinearly where the joints lie: (B, M, K)."""
    height, width = heatmaps.shape[-2:]
    x, y = keypoints.transpose(1, 2).unbind(dim=-1)
    # sizes by themselves, not as a constant: they may vary in an export
    grid = torch.stack((x / max(width - 1, 1), y / max(height - 1, 1)), dim=-1)
    scores = F.grid_sample(
        heatmaps.float().flatten(0, 1)[:, None],
        (2 * grid - 1).flatten(0, 1)[:, None],
        padding_mode='border',
        align_corners=True,
    )
    return scores.reshape(x.shape).transpose(1, 2)
