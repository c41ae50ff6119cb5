"""From predicted displacements to poses, on tensors of any device.

Everything has a fixed shape (B images, M candidates each), so nothing here
waits for the device. A map cell is at integer coordinates (x, y).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..tensors import take_channels, tensor_on_device_of
from .kinematics import KinematicTree


class PaddedPoses(NamedTuple):
    """Decoded candidates of a batch, ``M`` for each image.

    Attributes:
        keypoints (Tensor): (B, M, K, 2) in input pixels, float32.
        root_scores (Tensor): (B, M), float32, those of poses descending.
        keypoint_scores (Tensor): (B, M, K), float32.
        valid (Tensor): (B, M) bool, the candidates that are poses. They come
            before the others.
        finite (Tensor): (B,) bool, whether the image's maps had neither NaN
            nor infinity. An image that is not finite has no valid pose.
    """

    keypoints: Tensor
    root_scores: Tensor
    keypoint_scores: Tensor
    valid: Tensor
    finite: Tensor


def valid_first(poses: PaddedPoses) -> PaddedPoses:
    """Sort each image's candidates: valid ones first, best first.

    Args:
        poses (PaddedPoses): Candidates in any order.

    Returns:
        PaddedPoses: The same, those of equal scores in their order.
    """
    keys = poses.root_scores.masked_fill(~poses.valid, -torch.inf)
    order = keys.argsort(dim=1, descending=True, stable=True)

    def take(values: Tensor) -> Tensor:
        index = order.reshape(*order.shape, *[1] * (values.dim() - 2))
        return values.take_along_dim(index, dim=1)

    keypoints, root_scores, keypoint_scores, valid = map(take, poses[:4])
    return PaddedPoses(
        keypoints, root_scores, keypoint_scores, valid, poses.finite
    )


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
    heatmaps: Tensor,
    score_thr: float,
    nms_kernel: int,
    offsets: Tensor | None = None,
    max_peaks: int = 40,
) -> Tensor:
    """Find the peaks of the joints' heatmaps to which joints can snap.

    Args:
        heatmaps (Tensor): Keypoint heatmaps (B, K, H, W).
        score_thr (float): A lower peak attracts nothing.
        nms_kernel (int): As in :func:`find_root_peaks`.
        offsets (Tensor, optional): Vectors (B, 2K, H, W) in cells from each
            cell to its joint. Defaults to ``None``.
        max_peaks (int): P, peaks looked at per heatmap. Defaults to 40.

    Returns:
        Tensor: Peaks (B, K, P, 3), float32: x and y in cells, infinite where
        there is none, and the score. A peak's place is the highest cell's
        plus the offset there, or without offsets a quarter cell towards its
        higher neighbour.
    """
    batch, num_joints, height, width = heatmaps.shape
    heatmaps = heatmaps.float()
    scores, cells = find_root_peaks(
        heatmaps.flatten(0, 1), nms_kernel, max_peaks
    )
    x, y = cells % width, cells // width
    places = torch.stack((x, y), dim=-1)
    if offsets is not None:
        steps = offsets.reshape(batch * num_joints, 2, -1)
        index = cells[:, None].expand(-1, 2, -1)
        steps = steps.gather(2, index).transpose(1, 2).float()
    else:
        steps = _quarter_steps(heatmaps.flatten(0, 1), x, y)
    is_peak = scores[..., None] > score_thr
    places = torch.where(is_peak, places + steps, float('inf'))
    peaks = torch.cat((places, scores[..., None]), dim=-1)
    return peaks.reshape(batch, num_joints, -1, 3)


def _quarter_steps(maps: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """A quarter cell towards the higher neighbours of cells (B, P)."""
    height, width = maps.shape[-2:]
    flat = maps.flatten(1)

    def value(x: Tensor, y: Tensor) -> Tensor:
        x, y = x.clamp(0, width - 1), y.clamp(0, height - 1)
        return flat.gather(1, y * width + x)

    step_x = (value(x + 1, y) - value(x - 1, y)).sign() * 0.25
    step_y = (value(x, y + 1) - value(x, y - 1)).sign() * 0.25
    return torch.stack((step_x, step_y), dim=-1)


def snap_to_peaks(
    keypoints: Tensor, peaks: Tensor, reach: Tensor, snap_to: str = 'nearest'
) -> Tensor:
    r"""Move each joint to a peak of its own heatmap.

    Args:
        keypoints (Tensor): Joints (B, M, K, 2) in cells.
        peaks (Tensor): Their peaks (B, K, P, 3), as
            :func:`find_joint_peaks` gives them.
        reach (Tensor): r, a distance for each person, (B, M) in cells.
        snap_to (str): ``'nearest'``: the nearest peak within r; ``'best'``:
            the one with the highest score times
            :math:`\exp(-d^2 / (2 r^2))`, d being its distance. Defaults to
            ``'nearest'``.

    Returns:
        Tensor: Joints (B, M, K, 2) in cells; a joint without such a peak
        stays.
    """
    places = peaks[:, None, ..., :2].expand(-1, keypoints.shape[1], -1, -1, -1)
    distance = (places - keypoints[:, :, :, None]).norm(dim=-1)
    reach = reach[:, :, None, None]
    if snap_to == 'best':
        weights = torch.exp(-((distance / reach) ** 2) / 2)
        best, index = (weights * peaks[:, None, ..., 2]).max(-1, keepdim=True)
        moves = best > 0
    else:
        nearest, index = distance.min(dim=-1, keepdim=True)
        moves = nearest <= reach
    index = index[..., None].expand(-1, -1, -1, -1, 2)
    return torch.where(moves, places.gather(3, index)[:, :, :, 0], keypoints)


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


def gather_at_cells(maps: Tensor, cells: Tensor) -> Tensor:
    """Read maps at cells.

    Args:
        maps (Tensor): Maps (B, C, H, W).
        cells (Tensor): Flat cells (B, M), int64.

    Returns:
        Tensor: Values (B, C, M), float32.
    """
    index = cells[:, None].expand(-1, maps.shape[1], -1)
    return maps.flatten(2).gather(2, index).float()


def read_root_located(
    displacements: Tensor,
    cells: Tensor,
    ancestor_matrix: Tensor,
    normalizer: float,
) -> Tensor:
    """Read poses whose displacements all lie at the root.

    One gather and one product: ``p + Z * A @ D(p)`` with ``A`` the ancestor
    matrix, exact from every cell ``p`` of the window.

    Args:
        displacements (Tensor): Maps (B, 2K, H, W).
        cells (Tensor): Flat root cells (B, M), int64.
        ancestor_matrix (Tensor): ``A`` (K, K), float32.
        normalizer (float): Z, in cells.

    Returns:
        Tensor: Joints (B, M, K, 2) in cells, float32.
    """
    batch, num_cells = cells.shape
    num_joints = ancestor_matrix.shape[0]
    width = displacements.shape[-1]
    vectors = gather_at_cells(displacements, cells)
    vectors = vectors.reshape(batch, num_joints, 2 * num_cells)
    joints = torch.matmul(ancestor_matrix, vectors) * normalizer
    joints = joints.reshape(batch, num_joints, 2, num_cells)
    roots = torch.stack((cells % width, cells // width), dim=1)
    return (joints + roots[:, None]).permute(0, 3, 1, 2)


def read_parent_located(
    displacements: Tensor,
    cells: Tensor,
    tree: KinematicTree,
    normalizer: float,
    snap: Callable[[Tensor, Sequence[int]], Tensor] | None = None,
) -> Tensor:
    """Read poses whose displacements lie around each joint's parent.

    Level by level: at the cell ``q`` nearest to the joint's parent (the root
    cell for level 2) the joint is ``q + Z * D(q)``. With ``snap`` the joints
    of a level are moved before the next level is read at them, so that an
    error does not go on down the chain.

    Args:
        displacements (Tensor): Maps (B, 2K, H, W).
        cells (Tensor): Flat root cells (B, M), int64.
        tree (KinematicTree): The hierarchy.
        normalizer (float): Z, in cells.
        snap (Callable, optional): Takes joints (B, M, L, 2) in cells and
            the L indices of these joints, and gives them back moved. Defaults
            to ``None``: they stay.

    Returns:
        Tensor: Joints (B, M, K, 2) in cells, float32.
    """
    batch, num_cells = cells.shape
    num_joints, parents = tree.num_joints, tree.parents
    height, width = displacements.shape[-2:]
    maps = displacements.reshape(batch, num_joints, 2, height * width)
    root = torch.stack((cells % width, cells // width), dim=1)
    joints: list[Tensor | None] = [None] * num_joints
    for level in tree.joints_by_level:
        starts = torch.stack(
            [
                root if parents[j] < 0 else joints[parents[j]].round().long()
                for j in level
            ],
            dim=1,
        )
        x = starts[:, :, 0].clamp(0, width - 1)
        y = starts[:, :, 1].clamp(0, height - 1)
        index = (y * width + x)[:, :, None].expand(-1, -1, 2, -1)
        vectors = take_channels(maps, level).gather(3, index).float()
        found = torch.stack((x, y), dim=2) + vectors * normalizer
        if snap is not None:
            found = snap(found.permute(0, 3, 1, 2), level).permute(0, 2, 3, 1)
        for i, joint in enumerate(level):
            joints[joint] = found[:, i]
    return torch.stack(joints, dim=1).permute(0, 3, 1, 2)


def read_poses(
    displacements: Tensor,
    cells: Tensor,
    tree: KinematicTree,
    normalizer: float,
    location: str = 'root',
) -> Tensor:
    """Read poses from displacements, wherever these lie.

    Args:
        displacements (Tensor): Maps (B, 2K, H, W).
        cells (Tensor): Flat root cells (B, M), int64.
        tree (KinematicTree): The hierarchy.
        normalizer (float): Z, in cells.
        location (str): ``'root'`` (:func:`read_root_located`) or
            ``'parent'`` (:func:`read_parent_located`). Defaults to
            ``'root'``.

    Returns:
        Tensor: Joints (B, M, K, 2) in cells, float32.
    """
    if location == 'parent':
        return read_parent_located(displacements, cells, tree, normalizer)
    ancestors = tensor_on_device_of(
        tree.ancestor_matrix, displacements, torch.float32
    )
    return read_root_located(displacements, cells, ancestors, normalizer)


def read_snapped_poses(
    displacements: Tensor,
    cells: Tensor,
    peaks: Tensor,
    snap_distance: float,
    snap_to: str,
    tree: KinematicTree,
    normalizer: float,
    location: str = 'root',
) -> Tensor:
    """Read poses whose joints move to peaks of their own heatmaps.

    With displacements around parents level by level, so that the next level
    is read where the peak is. How far a joint may move follows from the pose
    as it is read without snapping.

    Args:
        displacements (Tensor): Maps (B, 2K, H, W).
        cells (Tensor): Flat root cells (B, M), int64.
        peaks (Tensor): Peaks (B, K, P, 3), as :func:`find_joint_peaks` gives
            them.
        snap_distance (float): r of :func:`snap_to_peaks` as a fraction of
            the diagonal of the person's joints.
        snap_to (str): As in :func:`snap_to_peaks`.
        tree (KinematicTree): The hierarchy.
        normalizer (float): Z, in cells.
        location (str): As in :func:`read_poses`. Defaults to ``'root'``.

    Returns:
        Tensor: Joints (B, M, K, 2) in cells, float32.
    """
    keypoints = read_poses(displacements, cells, tree, normalizer, location)
    extent = keypoints.amax(dim=2) - keypoints.amin(dim=2)
    reach = snap_distance * extent.norm(dim=-1)
    if location == 'root':
        return snap_to_peaks(keypoints, peaks, reach, snap_to)
    return read_parent_located(
        displacements,
        cells,
        tree,
        normalizer,
        lambda joints, level: snap_to_peaks(
            joints, take_channels(peaks, level), reach, snap_to
        ),
    )
