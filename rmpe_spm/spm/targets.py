"""Displacements to train with, without a loop over pixels, joints or persons.

Cells and ``metric`` are those of :mod:`rmpe_spm.spm.targets`.
"""

import numpy as np

from .kinematics import KinematicTree

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


def displacement_maps(
    keypoints: np.ndarray,
    labelled: np.ndarray,
    roots: np.ndarray,
    roots_valid: np.ndarray,
    diagonals: np.ndarray,
    tree: KinematicTree,
    heatmap_size: tuple[int, int],
    tau: float,
    metric: np.ndarray,
    normalizer: float,
    window: str = 'disc',
    overlap: str = 'mean',
    location: str = 'root',
    missing_parent: str = 'skip',
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
    gives its exact place. With ``location='parent'`` the window lies around
    the joint's parent and all levels hold ``(x_i^j - p) / Z``; with
    ``location='joint'`` it lies around the joint itself.

    Args:
        keypoints (np.ndarray): Joints (N, K, 2) in cells.
        labelled (np.ndarray): Which are labelled, (N, K) bool.
        roots (np.ndarray): Roots (N, 2) in cells.
        roots_valid (np.ndarray): Which persons are drawn, (N,) bool.
        diagonals (np.ndarray): Sizes of the persons (N,), for
            ``overlap='smaller'``.
        tree (KinematicTree): The hierarchy.
        heatmap_size (tuple[int, int]): Map size (W, H).
        tau (float): Radius of a disc, or half the side of a square window,
            in units of the metric.
        metric (np.ndarray): Units per cell (x, y).
        normalizer (float): Z, in cells.
        window (str): ``'disc'`` or ``'square'``. Defaults to ``'disc'``.
        overlap (str): A cell in several windows gets the ``'mean'`` of those
            persons that have the joint labelled, or belongs to the person
            with the ``'nearest'`` window centre or to the ``'smaller'``
            person (the first one in case of a tie). Defaults to ``'mean'``.
        location (str): ``'root'``, ``'parent'`` or ``'joint'``. Defaults to
            ``'root'``.
        missing_parent (str): What becomes of a labelled joint whose parent
            is not labelled: ``'skip'`` leaves it out, ``'ancestor'`` takes
            the nearest labelled ancestor in the parent's place. Defaults to
            ``'skip'``.

    Returns:
        tuple[np.ndarray, np.ndarray]: Displacements and weights (1 where
        there is a target, else 0), both (2K, H, W) float32 with channels
        x0, y0, x1, y1, ...
    """
    width, height = heatmap_size
    num_joints = tree.num_joints
    # fresh zeros cost nothing until they are written, zeros_like does
    shape = (2 * num_joints, height, width)
    targets = np.zeros(shape, dtype=np.float32)
    weights = np.zeros(shape, dtype=np.float32)
    if not roots_valid.any():
        return targets, weights

    anchors = _anchor_joints(tree, labelled, missing_parent)
    drawn = labelled & roots_valid[:, None]
    on_root = anchors < 0
    safe_anchors = np.maximum(anchors, 0)
    drawn &= on_root | np.take_along_axis(labelled, safe_anchors, axis=1)
    anchor_points = np.where(
        on_root[..., None],
        roots[:, None],
        np.take_along_axis(keypoints, safe_anchors[..., None], axis=1),
    )
    if location == 'root':
        centers, active = roots[:, None], roots_valid[:, None]
    else:  # `active` leaves out the windows of joints that are not drawn
        centers = keypoints if location == 'joint' else anchor_points
        active = drawn

    x, y, squared, inside = windows(
        centers, active, heatmap_size, tau, metric, window
    )
    cells = y * width + x
    if overlap != 'mean':
        keys = squared
        if overlap == 'smaller':
            keys = np.broadcast_to(diagonals[:, None, None], squared.shape)
        inside = _first_owner(inside, cells, keys, width * height)

    points = np.where(drawn[..., None], keypoints, 0.0)
    if location != 'root':
        _fill_own_windows(targets, weights, points, inside, x, y, normalizer)
        return targets, weights
    # every target is `fixed - slope * cell`, summed over persons
    base = np.where(on_root[..., None], 0.0, anchor_points)
    fixed, slope = (points - base) / normalizer, on_root / normalizer
    _fill_shared_windows(targets, weights, fixed, slope, drawn, inside, cells)
    return targets, weights


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


def _first_owner(
    inside: np.ndarray, cells: np.ndarray, keys: np.ndarray, area: int
) -> np.ndarray:
    """Keep in each cell only the person with the smallest key."""
    num_channels = inside.shape[1]
    slots = (np.arange(num_channels)[:, None] * area + cells)[inside]
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
    return kept


def _shared(slots: np.ndarray, num_slots: int) -> np.ndarray:
    """Which entries (E,) have their slot in common with another one."""
    entries = np.arange(len(slots))
    last = np.empty(num_slots, dtype=np.int64)
    last[slots] = entries
    taken = np.zeros(num_slots, dtype=bool)
    taken[slots[last[slots] != entries]] = True
    return taken[slots]


def _fill_shared_windows(
    targets: np.ndarray,
    weights: np.ndarray,
    fixed: np.ndarray,
    slope: np.ndarray,
    drawn: np.ndarray,
    inside: np.ndarray,
    cells: np.ndarray,
) -> None:
    """Average over persons whose joints share a window, in place.

    Which persons' windows a cell is in is a matrix; its products with what
    the persons have give the sums of all joints at once.
    """
    num_maps, height, width = targets.shape
    persons, _, _ = entries = np.nonzero(inside)
    covered = np.zeros(height * width, dtype=bool)
    covered[cells[entries]] = True
    used = np.flatnonzero(covered)
    slots = np.cumsum(covered) - 1
    members = np.zeros((len(drawn), len(used)))
    members[persons, slots[cells[entries]]] = 1

    count = drawn.T.astype(np.float32) @ members.astype(np.float32)
    sums = (fixed * drawn[..., None]).reshape(len(drawn), -1).T @ members
    sums = sums.reshape(num_maps // 2, 2, len(used))
    sloped = np.flatnonzero(slope.any(axis=0))
    slopes = (slope * drawn)[:, sloped].T @ members
    place = np.stack((used % width, used // width))
    sums[sloped] -= slopes[:, None] * place
    if len(drawn) > 1:
        sums /= np.maximum(count, 1)[:, None]
    shape = (num_maps // 2, 2, height * width)
    targets.reshape(shape)[:, :, used] = sums
    weights.reshape(shape)[:, :, used] = (count > 0)[:, None]


def _fill_own_windows(
    targets: np.ndarray,
    weights: np.ndarray,
    points: np.ndarray,
    inside: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    normalizer: float,
) -> None:
    """Average over persons where each joint has its own window, in place.

    All vectors start from the cell, so it is the joints that are averaged.
    """
    num_maps, height, width = targets.shape
    area = height * width
    first_map = 2 * np.arange(num_maps // 2)[:, None] * area
    slots = (first_map + y * width + x)[inside]
    repeats = inside.sum(axis=-1).reshape(-1)
    flat_targets, flat_weights = targets.reshape(-1), weights.reshape(-1)
    shared = np.flatnonzero(_shared(slots, targets.size))
    cells, cell_of, count = np.unique(
        slots[shared], return_inverse=True, return_counts=True
    )
    for axis, place in enumerate((x, y)):
        values = np.repeat(points[..., axis].reshape(-1), repeats)
        values -= place[inside]
        means = np.bincount(cell_of, values[shared], len(cells)) / count
        flat_targets[slots + axis * area] = values / normalizer
        flat_targets[cells + axis * area] = means / normalizer
        flat_weights[slots + axis * area] = 1
