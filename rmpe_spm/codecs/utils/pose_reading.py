"""From predicted displacements to poses, on tensors of any device.

Everything has a fixed shape (B images, M candidates each), so nothing here
waits for the device. A map cell is at integer coordinates (x, y).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ...structures.constants import constant_like, take_channels
from ..kinematics import KinematicTree
from .map_peaks import snap_to_peaks


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
    ancestors = constant_like(
        tree.ancestor_matrix, displacements, torch.float32
    )
    return read_root_located(displacements, cells, ancestors, normalizer)


def read_snapped_poses(
    displacements: Tensor,
    cells: Tensor,
    peaks: Tensor,
    snap_distance: float,
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
        peaks (Tensor): Peaks (B, K, P, 2) in cells, infinite where there is
            none.
        snap_distance (float): The furthest that a joint may move, as a
            fraction of the diagonal of its person's joints.
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
        return snap_to_peaks(keypoints, peaks, reach)
    return read_parent_located(
        displacements,
        cells,
        tree,
        normalizer,
        lambda joints, level: snap_to_peaks(
            joints, take_channels(peaks, level), reach
        ),
    )
