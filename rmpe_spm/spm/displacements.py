"""Displacements to train with, without a loop over pixels, joints or people.

Each joint's displacement is written into a window around the person's root
or the joint's parent. Cells of a map are at integer coordinates (x, y).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .heatmaps import Grid, window_axis
from .kinematics import KinematicTree, PoseRepresentation


@dataclass(frozen=True)
class People:
    """The people of an image, N of them with K joints, in cells."""

    keypoints: np.ndarray
    labelled: np.ndarray
    roots: np.ndarray
    sizes: np.ndarray | None = None

    @property
    def valid(self) -> np.ndarray:
        """Which persons have a root, (N,) bool."""
        return self.labelled.any(axis=1)


def displacement_maps(
    people: People,
    representation: PoseRepresentation,
    grid: Grid,
    overlap: str = 'mean',
    missing_parent: str = 'skip',
    windows: 'RootWindows | None' = None,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Draw the displacements of every joint inside the persons' windows.

    With ``N_i`` the window around person ``i``'s root, joint ``j`` of level 2
    has

    .. math::
        D_i^j(p) = (x_i^j - p) / Z, \quad p \in N_i

    and a joint of a deeper level the vector from its parent, the same at
    every ``p``:

    .. math::
        D_i^j(p) = (x_i^j - x_i^{parent(j)}) / Z, \quad p \in N_i

    so that reading any cell of the window and adding up the path to a joint
    gives its exact place. With the location ``'parent'`` the window lies
    around the joint's parent, with ``'joint'`` around the joint itself, and
    all levels hold ``(x_i^j - p) / Z``. ``overlap`` and ``missing_parent`` are
    those of :class:`~rmpe_spm.HierarchicalSPRCodec`.

    Returns displacements and weights, both (2K, H, W) float32 with channels
    x0, y0, x1, y1, ...
    """
    tree, normalizer = representation.tree, representation.normalizer
    # fresh zeros cost nothing until they are written, zeros_like does
    shape = (2 * tree.num_joints, *grid.size[::-1])
    maps = (np.zeros(shape, np.float32), np.zeros(shape, np.float32))
    if not people.labelled.any():
        return maps

    anchor_points, on_root, drawn = anchor_people(people, tree, missing_parent)
    points = np.where(drawn[..., None], people.keypoints, 0.0)
    if representation.location != 'root':
        # without the windows of joints that are not drawn
        around_parents = representation.location == 'parent'
        centers = anchor_points if around_parents else points
        windows = _owned(_windows(centers, drawn, grid), people, grid, overlap)
        vectors = [
            (_in_windows(points[..., axis], windows) - place[windows.inside])
            / normalizer
            for axis, place in enumerate((windows.x, windows.y))
        ]
        _fill_own_windows(maps, vectors, windows)
        return maps
    windows = windows or root_windows(people, grid, overlap)
    # every target is `fixed - slope * cell`, summed over persons
    base = np.where(on_root[..., None], 0.0, anchor_points)
    fixed, slope = (points - base) / normalizer, on_root / normalizer
    _fill_shared_windows(maps, fixed, slope, drawn, windows)
    return maps


def anchor_people(
    people: People, tree: KinematicTree, missing_parent: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each joint's displacement starts: the point (N, K, D), whether
    that is the root (N, K), and whether it has a start at all (N, K).
    """
    labelled = people.labelled
    anchors = _anchor_joints(tree, labelled, missing_parent)
    on_root = anchors < 0
    anchors = np.maximum(anchors, 0)
    drawn = labelled & (on_root | np.take_along_axis(labelled, anchors, 1))
    points = np.where(
        on_root[..., None],
        people.roots[:, None],
        np.take_along_axis(people.keypoints, anchors[..., None], axis=1),
    )
    return points, on_root, drawn


class RootWindows(NamedTuple):
    """The U cells in the windows around the roots of N persons."""

    used: np.ndarray  # flat cells, (U,)
    members: np.ndarray  # 1 where a cell is in a person's window, (N, U)


def root_windows(people: People, grid: Grid, overlap: str) -> RootWindows:
    """The windows around people's roots, after the rule for overlaps."""
    if not people.labelled.any():
        number = len(people.labelled)
        return RootWindows(np.zeros(0, np.int64), np.zeros((number, 0)))
    windows = _windows(people.roots[:, None], people.valid[:, None], grid)
    windows = _owned(windows, people, grid, overlap)
    persons, _, _ = entries = np.nonzero(windows.inside)
    cells = windows.cells[entries]
    covered = np.zeros(np.prod(grid.size), dtype=bool)
    covered[cells] = True
    used = np.flatnonzero(covered)
    slots = np.cumsum(covered) - 1
    members = np.zeros((len(people.labelled), len(used)))
    members[persons, slots[cells]] = 1
    return RootWindows(used, members)


def _owned(
    windows: '_Windows', people: People, grid: Grid, overlap: str
) -> '_Windows':
    if overlap == 'mean':
        return windows
    keys = windows.squared
    if overlap == 'smaller':
        keys = np.broadcast_to(people.sizes[:, None, None], keys.shape)
    return _leave_first_owner(windows, keys, np.prod(grid.size))


def _anchor_joints(
    tree: KinematicTree, labelled: np.ndarray, missing_parent: str
) -> np.ndarray:
    """The joint (N, K) that each joint's displacement starts from."""
    parents = np.asarray(tree.parents)
    anchors = np.broadcast_to(parents, labelled.shape).copy()
    if missing_parent == 'ancestor':
        for _ in range(len(tree.joints_by_level) - 1):
            present = np.take_along_axis(
                labelled, np.maximum(anchors, 0), axis=1
            )
            climb = (anchors >= 0) & ~present
            anchors = np.where(climb, parents[anchors], anchors)
    return anchors


class _Windows(NamedTuple):
    """The P cells around each of (N, C) centres, all arrays (N, C, P)."""

    x: np.ndarray  # moved onto the map
    y: np.ndarray
    cells: np.ndarray  # y * W + x
    squared: np.ndarray  # distance to the centre, in units of the metric
    inside: np.ndarray  # whether the cell is in the window and on the map


def _windows(centers: np.ndarray, active: np.ndarray, grid: Grid) -> _Windows:
    """The discs around centres (N, C, 2), where active (N, C or 1)."""
    (width, height), metric = grid.size, grid.metric
    x, x_inside = window_axis(centers[..., 0], grid.tau / metric[0], width)
    y, y_inside = window_axis(centers[..., 1], grid.tau / metric[1], height)
    dx = (x - centers[..., :1]) * metric[0]
    dy = (y - centers[..., 1:]) * metric[1]
    squared = dy[..., :, None] ** 2 + dx[..., None, :] ** 2
    inside = y_inside[..., :, None] & x_inside[..., None, :]
    inside &= squared <= grid.tau**2
    inside &= active[..., None, None]
    shape = (*centers.shape[:-1], -1)
    x = np.broadcast_to(x[..., None, :], inside.shape).reshape(shape)
    y = np.broadcast_to(y[..., :, None], inside.shape).reshape(shape)
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    return _Windows(
        x, y, y * width + x, squared.reshape(shape), inside.reshape(shape)
    )


def _leave_first_owner(
    windows: _Windows, keys: np.ndarray, area: int
) -> _Windows:
    """Keep in each cell only the person with the smallest key."""
    inside = windows.inside
    num_channels = inside.shape[1]
    channels = np.arange(num_channels)[:, None]
    slots = (channels * area + windows.cells)[inside]
    persons = np.repeat(np.arange(len(inside)), inside.sum(axis=(1, 2)))
    contested = np.flatnonzero(_shared(slots, num_channels * area))
    # of repeated indices the last assignment stays, so the best comes last
    order = np.lexsort((-persons[contested], -keys[inside][contested]))
    owner = np.empty(num_channels * area, dtype=np.int64)
    owner[slots[contested[order]]] = persons[contested[order]]
    won = np.ones(len(slots), dtype=bool)
    won[contested] = owner[slots[contested]] == persons[contested]
    kept = np.zeros_like(inside)
    kept[inside] = won
    return windows._replace(inside=kept)


def _shared(slots: np.ndarray, num_slots: int) -> np.ndarray:
    """Which entries (E,) have their slot in common with another one."""
    entries = np.arange(len(slots))
    last = np.empty(num_slots, dtype=np.int64)
    last[slots] = entries
    taken = np.zeros(num_slots, dtype=bool)
    taken[slots[last[slots] != entries]] = True
    return taken[slots]


def _fill_shared_windows(
    maps: tuple[np.ndarray, np.ndarray],
    fixed: np.ndarray,
    slope: np.ndarray,
    drawn: np.ndarray,
    windows: RootWindows,
) -> None:
    """Average over persons whose joints share a window, in place.

    Which persons' windows a cell is in is a matrix; its products give the
    sums of all joints at once.
    """
    num_maps, height, width = maps[0].shape
    used, members = windows
    count = drawn.T.astype(np.float32) @ members.astype(np.float32)
    sums = (fixed * drawn[..., None]).reshape(len(drawn), -1).T @ members
    sums = sums.reshape(num_maps // 2, 2, len(used))
    sloped = np.flatnonzero(slope.any(axis=0))
    slopes = (slope * drawn)[:, sloped].T @ members
    place = np.stack((used % width, used // width))
    sums[sloped] -= slopes[:, None] * place
    if len(drawn) > 1:
        sums /= np.maximum(count, 1)[:, None]
    targets, weights = (
        own.reshape(num_maps // 2, 2, height * width) for own in maps
    )
    targets[:, :, used] = sums
    weights[:, :, used] = (count > 0)[:, None]


def fill_root_windows(
    maps: tuple[np.ndarray, np.ndarray],
    values: np.ndarray,
    drawn: np.ndarray,
    windows: RootWindows,
) -> None:
    """Write mean values (N, C), the same in a person's window, in place.

    Maps are targets and weights (C, H, W), all 0.
    """
    used, members = windows
    count = drawn.T.astype(np.float32) @ members.astype(np.float32)
    sums = np.where(drawn, values, 0.0).T @ members
    if len(drawn) > 1:
        sums /= np.maximum(count, 1)
    targets, weights = (own.reshape(len(own), -1) for own in maps)
    targets[:, used] = sums
    weights[:, used] = count > 0


def fill_joint_windows(
    maps: tuple[np.ndarray, np.ndarray],
    values: np.ndarray,
    drawn: np.ndarray,
    people: People,
    grid: Grid,
    overlap: str,
) -> None:
    """Write mean values (N, K), the same in a joint's window, in place."""
    if not drawn.any():
        return
    points = np.where(drawn[..., None], people.keypoints, 0.0)
    windows = _owned(_windows(points, drawn, grid), people, grid, overlap)
    _fill_own_windows(maps, [_in_windows(values, windows)], windows)


def _in_windows(values: np.ndarray, windows: _Windows) -> np.ndarray:
    """Joints' values (N, K), one for each cell of their windows, (E,)."""
    return np.repeat(values.ravel(), windows.inside.sum(axis=-1).ravel())


def _fill_own_windows(
    maps: tuple[np.ndarray, np.ndarray],
    values: Sequence[np.ndarray],
    windows: _Windows,
) -> None:
    """Average over persons where each joint has its own window, in place.

    A joint has as many maps as there are values (E,) of the windows' cells.
    """
    num_axes = len(values)
    num_maps, height, width = maps[0].shape
    area = height * width
    first_map = np.arange(0, num_maps, num_axes)[:, None] * area
    slots = (first_map + windows.cells)[windows.inside]
    targets, weights = (own.reshape(-1) for own in maps)
    shared = np.flatnonzero(_shared(slots, targets.size))
    cells, cell_of, count = np.unique(
        slots[shared], return_inverse=True, return_counts=True
    )
    for axis, own in enumerate(values):
        means = np.bincount(cell_of, own[shared], len(cells)) / count
        targets[slots + axis * area] = own
        targets[cells + axis * area] = means
        weights[slots + axis * area] = 1
