"""From predicted maps to poses, on tensors of any device.

Roots are the peaks of the root map; what the displacement maps hold there
leads to the joints, which may snap to peaks of their own heatmaps.
Everything has a fixed shape (B images, M candidates each), so nothing here
waits for the device. A map cell is at integer coordinates (x, y).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..tensors import (
    take_channels,
    tensor_on_device_of,
    without_autocast,
)
from .kinematics import KinematicTree, PoseRepresentation


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


class PaddedPoses(NamedTuple):
    """Decoded candidates of a batch, ``M`` for each image.

    Keypoints are in input pixels; no candidate of an image whose maps were
    not ``finite`` is ``valid``. In 3D ``depths`` (B, M, K + 1) say how far
    each joint lies behind the root, in input pixels, and the root's depth.
    """

    keypoints: Tensor
    root_scores: Tensor
    keypoint_scores: Tensor
    valid: Tensor
    finite: Tensor
    depths: Tensor | None = None


@dataclass(frozen=True)
class RootPeaks:
    """Which peaks of the root map are poses.

    ``max_instances`` is M or, on a smaller map, H * W; roots up to
    ``score_thr`` are no poses; a peak is the highest in a window of
    ``nms_kernel`` cells.
    """

    max_instances: int
    score_thr: float
    nms_kernel: int


def decode_maps(
    heatmaps: Tensor,
    displacements: Tensor,
    representation: PoseRepresentation,
    roots: RootPeaks,
    snapping: Snapping | None = None,
) -> PaddedPoses:
    """Decode heatmaps (B, 1 or K+1, H, W), the root last, to M candidates.

    Displacements are (B, 2K, H, W), or (B, 4K, H, W) with keypoint offsets;
    with depths K + 1 more. Best first, keypoints in cells.
    """
    num_joints = representation.tree.num_joints
    num_vectors = representation.num_vectors
    num_depths = representation.num_depths
    if (
        heatmaps.shape[1] not in (1, num_joints + 1)
        or displacements.shape[1] != 2 * num_vectors + num_depths
        or heatmaps.shape[2:] != displacements.shape[2:]
    ):
        raise ValueError(
            f'HierarchicalSPRCodec: with {num_joints} joints the maps must '
            f'have 1 or {num_joints + 1} and {2 * num_vectors + num_depths} '
            'channels and the same height and width, got '
            f'{tuple(heatmaps.shape)} and {tuple(displacements.shape)}'
        )
    joint_heatmaps, root_heatmaps = heatmaps[:, :-1], heatmaps[:, -1]
    with without_autocast(heatmaps):
        finite = _are_finite(heatmaps, displacements)
        root_scores, cells = find_peaks(
            root_heatmaps.float(), roots.nms_kernel, roots.max_instances
        )
        root_scores = torch.where(finite[:, None], root_scores, 0.0)
        offsets = None
        displacements, depth_maps = displacements.split(
            (2 * num_vectors, num_depths), dim=1
        )
        if representation.keypoint_offsets:
            displacements, offsets = displacements.chunk(2, dim=1)
            offsets = offsets * representation.normalizer
        has_joint_heatmaps = joint_heatmaps.shape[1] > 0
        if snapping is None:
            keypoints = read_poses(displacements, cells, representation)
        elif has_joint_heatmaps:
            peaks = find_joint_peaks(
                joint_heatmaps, snapping.thr, roots.nms_kernel, offsets
            )
            keypoints = read_snapped_poses(
                displacements, cells, representation, peaks, snapping
            )
        else:
            raise ValueError(
                'HierarchicalSPRCodec: joints can snap to peaks only with '
                'keypoint heatmaps'
            )
        if has_joint_heatmaps:
            scores = sample_keypoint_scores(joint_heatmaps, keypoints)
        else:
            scores = root_scores[..., None].expand(-1, -1, num_joints)
        depths = None
        if representation.with_depths:
            depths = read_depths(depth_maps, cells, keypoints, representation)
    valid = root_scores > roots.score_thr
    return PaddedPoses(keypoints, root_scores, scores, valid, finite, depths)


def _are_finite(heatmaps: Tensor, displacements: Tensor) -> Tensor:
    """Whether each image's maps are finite (B,): then so is their sum."""
    total, more = (
        maps.sum(dim=(1, 2, 3), dtype=torch.float32)
        for maps in (heatmaps, displacements)
    )
    return torch.isfinite(total + more)


def read_poses(
    displacements: Tensor, cells: Tensor, representation: PoseRepresentation
) -> Tensor:
    """Read poses (B, M, K, 2) in cells at flat root cells (B, M).

    Where all displacements (B, 2K, H, W) lie at the root one gather and one
    product are enough: the joints are ``p + Z * A @ D(p)`` with ``A`` the
    ancestor matrix, exact from every cell ``p`` of the window.
    """
    if representation.location == 'parent':
        return read_parent_located(displacements, cells, representation)
    batch, num_cells = cells.shape
    num_joints = representation.tree.num_joints
    width = displacements.shape[-1]
    index = cells[:, None].expand(-1, 2 * num_joints, -1)
    vectors = displacements.flatten(2).gather(2, index).float()
    vectors = vectors.reshape(batch, num_joints, 2 * num_cells)
    ancestors = tensor_on_device_of(
        representation.tree.ancestor_matrix, vectors
    )
    joints = torch.matmul(ancestors, vectors) * representation.normalizer
    joints = joints.reshape(batch, num_joints, 2, num_cells)
    roots = torch.stack((cells % width, cells // width), dim=1)
    return (joints + roots[:, None]).permute(0, 3, 1, 2)


def read_depths(
    maps: Tensor,
    cells: Tensor,
    keypoints: Tensor,
    representation: PoseRepresentation,
) -> Tensor:
    """Read depths (B, M, K + 1) of poses, the root's last.

    The joints' are read at flat root cells (B, M), at the keypoints
    (B, M, K, 2) in cells, or are the mean of what is read at both.
    """
    height, width = maps.shape[-2:]
    x, y = keypoints.round().long().transpose(1, 2).unbind(dim=-1)
    at_joints = y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
    at_root = cells[:, None]
    places = dict(joint=at_joints, root=at_root.expand(at_joints.shape))
    locations = representation.depth_locations
    index = [*(places[location] for location in locations), at_root]
    values = maps.flatten(2).gather(2, torch.cat(index, dim=1)).float()
    ancestors = tensor_on_device_of(
        representation.tree.ancestor_matrix, values
    )
    joints = values[:, :-1].unflatten(1, (len(locations), -1)).mean(dim=1)
    joints = torch.matmul(ancestors, joints) * representation.normalizer
    return torch.cat((joints, values[:, -1:]), dim=1).transpose(1, 2)


def read_parent_located(
    displacements: Tensor,
    cells: Tensor,
    representation: PoseRepresentation,
    snap: Callable[[Tensor, Sequence[int]], Tensor] | None = None,
) -> Tensor:
    """Read poses whose displacements lie around each joint's parent.

    Level by level: at the cell ``q`` nearest to the joint's parent (the root
    cell for level 2) the joint is ``q + Z * D(q)``. ``snap`` moves a level's
    joints (B, M, L, 2) before the next level is read at them.
    """
    tree = representation.tree
    height, width = displacements.shape[-2:]
    maps = displacements.flatten(2).unflatten(1, (tree.num_joints, 2))
    root = torch.stack((cells % width, cells // width), dim=1)
    joints: list[Tensor | None] = [None] * tree.num_joints
    for level in tree.joints_by_level:
        parents = [tree.parents[joint] for joint in level]
        starts = torch.stack(
            [root if p < 0 else joints[p].round().long() for p in parents],
            dim=1,
        )
        x = starts[:, :, 0].clamp(0, width - 1)
        y = starts[:, :, 1].clamp(0, height - 1)
        index = (y * width + x)[:, :, None].expand(-1, -1, 2, -1)
        vectors = take_channels(maps, level).gather(3, index).float()
        found = torch.stack((x, y), dim=2)
        found = found + vectors * representation.normalizer
        if snap is not None:
            found = snap(found.permute(0, 3, 1, 2), level).permute(0, 2, 3, 1)
        for i, joint in enumerate(level):
            joints[joint] = found[:, i]
    return torch.stack(joints, dim=1).permute(0, 3, 1, 2)


def read_snapped_poses(
    displacements: Tensor,
    cells: Tensor,
    representation: PoseRepresentation,
    peaks: Tensor,
    snapping: Snapping,
) -> Tensor:
    """Read poses whose joints move to peaks (B, K, P, 3) of their heatmaps.

    How far a joint may move follows from the pose read without snapping.
    """
    keypoints = read_poses(displacements, cells, representation)
    extent = keypoints.amax(dim=2) - keypoints.amin(dim=2)
    reach = snapping.distance * extent.norm(dim=-1)
    if representation.location == 'root':
        return snap_to_peaks(keypoints, peaks, reach, snapping.to)
    return read_parent_located(
        displacements,
        cells,
        representation,
        lambda joints, level: snap_to_peaks(
            joints, take_channels(peaks, level), reach, snapping.to
        ),
    )


def accumulate(displacements: Tensor, tree: KinematicTree) -> Tensor:
    """Root-to-joint displacements (B, 2K, H, W) from those along the body."""
    ancestors = tensor_on_device_of(tree.ancestor_matrix, displacements)
    maps = displacements[:, : 2 * tree.num_joints]
    maps = maps.unflatten(1, (tree.num_joints, 2))
    return torch.einsum('ja,baxhw->bjxhw', ancestors, maps).flatten(1, 2)
