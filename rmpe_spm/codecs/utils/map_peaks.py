"""Peaks of predicted heatmaps, on tensors of any device.

Everything has a fixed shape (B images, M candidates each), so nothing here
waits for the device. A map cell is at integer coordinates (x, y).
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def find_root_peaks(
    root_heatmaps: Tensor, nms_kernel: int, max_instances: int
) -> tuple[Tensor, Tensor]:
    """Find the highest local maxima of each root map.

    Args:
        root_heatmaps (Tensor): Root maps (B, H, W).
        nms_kernel (int): Side of the window, in cells and odd, in which a
            peak must be the highest. Of equal peaks within one window the
            first one, row by row, stays.
        max_instances (int): M is this or, on a smaller map, H * W.

    Returns:
        tuple[Tensor, Tensor]: Scores (B, M), descending and 0 where there is
        no further peak, and the flat cells (B, M), int64.
    """
    radius = nms_kernel // 2
    # in place, where a comparison is vectorised: 1 at peaks, else 0
    is_peak = _window_maximum(root_heatmaps, radius).eq_(root_heatmaps)
    # A root halfway between cells gives equal neighbours, all of them the
    # highest. They must not take up places of other peaks: the first one
    # stays.
    height, width = root_heatmaps.shape[1:]
    order = torch.arange(
        height * width, 0, -1, dtype=torch.float32, device=is_peak.device
    )
    order = order.reshape(height, width) * is_peak
    is_peak *= _window_maximum(order, radius).eq_(order)
    peaks = (is_peak * root_heatmaps).flatten(1)
    scores, cells = peaks.topk(min(max_instances, peaks.shape[1]), dim=1)
    return scores, cells


def _window_maximum(maps: Tensor, radius: int) -> Tensor:
    """Highest value in the window around each cell of maps (B, H, W).

    What max pooling computes, many times faster on CPU: shifted maxima along
    one axis and then the other, each twice as wide as the one before. The
    padded rows of all maps lie end to end, so that every step is one pass
    over memory; what runs over a row's end falls into the padding.
    """
    padded = F.pad(maps, (radius,) * 4, value=float('-inf')).contiguous()
    best = padded.flatten()
    size = 2 * radius + 1
    for stride in padded.stride()[:0:-1]:
        reached = 1
        while reached < size:
            step = min(reached, size - reached)
            best = torch.maximum(best[: -step * stride], best[step * stride :])
            reached += step
    return best.as_strided(maps.shape, padded.stride())


def find_joint_peaks(
    heatmaps: Tensor, score_thr: float, nms_kernel: int, max_peaks: int = 40
) -> Tensor:
    """Find the peaks of the joints' heatmaps to which joints can snap.

    Args:
        heatmaps (Tensor): Keypoint heatmaps (B, K, H, W).
        score_thr (float): A lower peak attracts nothing.
        nms_kernel (int): As in :func:`find_root_peaks`.
        max_peaks (int): P, peaks looked at per heatmap. Defaults to 40.

    Returns:
        Tensor: Peaks (B, K, P, 2) in cells, float32, infinite where there is
        none. A peak's place is refined by a quarter cell towards its higher
        neighbour.
    """
    batch, num_joints, height, width = heatmaps.shape
    heatmaps = heatmaps.float()
    scores, cells = find_root_peaks(
        heatmaps.flatten(0, 1), nms_kernel, max_peaks
    )
    x, y = cells % width, cells // width
    flat = heatmaps.flatten(0, 1).flatten(1)

    def value(x: Tensor, y: Tensor) -> Tensor:
        x, y = x.clamp(0, width - 1), y.clamp(0, height - 1)
        return flat.gather(1, y * width + x)

    step_x = (value(x + 1, y) - value(x - 1, y)).sign() * 0.25
    step_y = (value(x, y + 1) - value(x, y - 1)).sign() * 0.25
    peaks = torch.stack((x + step_x, y + step_y), dim=-1)
    peaks = torch.where(scores[..., None] > score_thr, peaks, float('inf'))
    return peaks.reshape(batch, num_joints, -1, 2)


def snap_to_peaks(
    keypoints: Tensor, peaks: Tensor, max_distance: Tensor
) -> Tensor:
    """Move each joint to the nearest peak of its own heatmap.

    Args:
        keypoints (Tensor): Joints (B, M, K, 2) in cells.
        peaks (Tensor): Their peaks (B, K, P, 2) in cells, infinite where
            there is none.
        max_distance (Tensor): How far a joint may move, (B, M) in cells.

    Returns:
        Tensor: Joints (B, M, K, 2) in cells; a joint without a peak in
        reach stays.
    """
    peaks = peaks[:, None].expand(-1, keypoints.shape[1], -1, -1, -1)
    distance = (peaks - keypoints[:, :, :, None]).norm(dim=-1)
    nearest, index = distance.min(dim=-1, keepdim=True)
    index = index[..., None].expand(-1, -1, -1, -1, 2)
    snapped = peaks.gather(3, index)[:, :, :, 0]
    in_reach = nearest <= max_distance[:, :, None, None]
    return torch.where(in_reach, snapped, keypoints)


def sample_keypoint_scores(heatmaps: Tensor, keypoints: Tensor) -> Tensor:
    """Read each joint's own heatmap where the joint lies (bilinear).

    Args:
        heatmaps (Tensor): Keypoint heatmaps (B, K, H, W).
        keypoints (Tensor): Joints (B, M, K, 2) in cells. Outside of the map
            its border counts.

    Returns:
        Tensor: Scores (B, M, K), float32.
    """
    batch, num_joints, height, width = heatmaps.shape
    num_candidates = keypoints.shape[1]
    x, y = keypoints.permute(0, 2, 1, 3).unbind(dim=-1)
    # sizes by themselves, not as a constant: they may vary in an export
    grid = torch.stack((x / max(width - 1, 1), y / max(height - 1, 1)), dim=-1)
    grid = 2 * grid - 1
    scores = F.grid_sample(
        heatmaps.float().reshape(batch * num_joints, 1, height, width),
        grid.reshape(batch * num_joints, 1, num_candidates, 2),
        padding_mode='border',
        align_corners=True,
    )
    scores = scores.reshape(batch, num_joints, num_candidates)
    return scores.transpose(1, 2)
