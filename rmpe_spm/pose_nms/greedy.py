"""Parametric pose NMS: RMPE, sec. 3.2."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from .rule import PoseNMSRule
from .similarity import PoseTerms, redundant_pairs

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


def crowd_pairs(
    terms: PoseTerms,
    rows: np.ndarray,
    columns: np.ndarray,
    reach: np.ndarray,
    needed: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Find pairs with enough joints near each other, with one tree a joint.

    Args:
        terms (PoseTerms): All poses as numpy arrays.
        rows (np.ndarray): Ascending indices of the references.
        columns (np.ndarray): Ascending indices of the candidates.
        reach (np.ndarray): For every pose, the largest distance in pixels
            of a joint that is near it.
        needed (np.ndarray): For every pose, how many of its joints must be
            near the same joints of a reference.

    Returns:
        tuple: Indices of the references and of the candidates, all of them
        later than their reference, in ascending order.
    """
    order = np.argsort(reach[rows], kind='stable')
    # a query has one radius: references of about the same size go together
    octave = np.floor(np.log2(reach[rows][order]))
    groups = np.split(order, np.flatnonzero(np.diff(octave)) + 1)
    keys = []
    for joint in range(terms.x.shape[1]):
        points = np.stack([terms.x[:, joint], terms.y[:, joint]], 1)
        known = np.flatnonzero(np.isfinite(points[columns, 0]))
        tree = cKDTree(points[columns[known]])
        for group in groups:
            group = group[np.isfinite(points[rows[group], 0])]
            radius = reach[rows[group]]
            if len(group) == 0 or len(known) == 0:
                continue
            found = cKDTree(points[rows[group]]).sparse_distance_matrix(
                tree, radius.max() * (1 + 1e-9), output_type='ndarray'
            )
            i, j = found['i'], found['j']
            near = found['v'] <= radius[i] * (1 + 1e-9)
            i, j = group[i[near]], known[j[near]]
            keys.append(i * len(columns) + j)
    keys = np.concatenate(keys) if keys else np.zeros(0, dtype=np.intp)
    keys, near_joints = np.unique(keys, return_counts=True)
    i, j = rows[keys // len(columns)], columns[keys % len(columns)]
    good = (near_joints >= needed[j]) & (j > i)
    return i[good], j[good]


def eliminate(
    order: np.ndarray,
    images: np.ndarray,
    redundant: Callable[[int, np.ndarray], np.ndarray],
) -> np.ndarray:
    """Which pose eliminates each pose.

    Args:
        order (np.ndarray): Indices (N,) of the poses, image after image, the
            best pose of each image first.
        images (np.ndarray): For every pose the image that it is in, (N,).
        redundant (callable): Called with the index of a pose that is kept
            and with those of the poses left after it; returns a boolean for
            each of these, whether it is to go.

    Returns:
        np.ndarray: Shape (N,): for each place in ``order`` the place of the
        pose that eliminated that pose, or its own.
    """
    owners = np.arange(len(order))
    alive = np.ones(len(order), dtype=bool)
    ends = np.searchsorted(images[order], images[order], side='right')
    for place, end in enumerate(ends.tolist()):
        if not alive[place]:
            continue
        left = alive[place + 1 : end].nonzero()[0] + place + 1
        if len(left):
            gone = left[redundant(order[place], order[left])]
            owners[gone] = place
            alive[gone] = False
    return owners


def eliminate_pairs(
    references: np.ndarray,
    candidates: np.ndarray,
    owners: np.ndarray,
    alive: np.ndarray,
) -> None:
    """Let the references, in order, take what is left of their candidates.

    Args:
        references (np.ndarray): For P redundant pairs the better pose, (P,);
            ascending, as the best pose is the first.
        candidates (np.ndarray): The other pose of each pair, (P,).
        owners (np.ndarray): For every pose the pose that eliminated it or
            its own index, (N,); updated in place.
        alive (np.ndarray): Poses not yet eliminated, (N,); updated in place.
    """
    if len(references) == 0:
        return
    first = np.ones(len(references), dtype=bool)
    np.not_equal(references[1:], references[:-1], out=first[1:])
    starts = first.nonzero()[0].tolist()
    stops = [*starts[1:], len(references)]
    for start, stop in zip(starts, stops, strict=True):
        reference = references[start]
        if alive[reference]:
            taken = candidates[start:stop]
            taken = taken[alive[taken]]
            owners[taken] = reference
            alive[taken] = False


# joint distances computed at once: few enough to stay in a core's cache,
# and on a GPU enough to fill it
_CHUNK = 1 << 16
_CHUNK_GPU = 1 << 24

# joint distances so few that looking for near ones first takes longer
_FEW = 1 << 12

# pairs of poses in a block whose extents are compared
_BLOCK = 1 << 17

# poses of one image from which on neighbours are looked up in trees
_CROWD = 2048


def greedy_owners(
    terms: PoseTerms, sizes: Sequence[int], rule: PoseNMSRule
) -> np.ndarray:
    """Which pose eliminates each pose.

    The most confident pose of an image takes all that are redundant with
    it, then the most confident of the rest does, until none is left. Only
    poses with joints near each other are compared, block by block: memory
    is O(N K), also for thousands of poses in one image.

    Args:
        terms (PoseTerms): The poses of all images, image after image, the
            most confident pose of each image first. On a GPU the pairs are
            compared there, and one list of redundant pairs is read back.
        sizes (Sequence[int]): Number of poses of every image.
        rule (PoseNMSRule): The parameters.

    Returns:
        np.ndarray: Shape (N,): index of the pose that eliminated the pose,
        or its own where the pose is kept.
    """
    ends = np.repeat(np.cumsum(sizes, dtype=np.intp), sizes)
    owners = np.arange(len(ends))
    alive = np.ones(len(ends), dtype=bool)
    if isinstance(terms.x, Tensor):
        blocks = pairs_on_device(terms, ends, rule)
    else:
        blocks = pairs_in_blocks(terms, ends, rule, alive)
    for references, candidates in blocks:
        eliminate_pairs(references, candidates, owners, alive)
    return owners


def pairs_in_blocks(
    terms: PoseTerms, ends: np.ndarray, rule: PoseNMSRule, alive: np.ndarray
) -> Iterator[Pairs]:
    """Find the redundant pairs, a block of references at a time, in numpy.

    Args:
        terms (PoseTerms): The sorted poses (N) as numpy arrays.
        ends (np.ndarray): For every pose, the end of its image (N,).
        rule (PoseNMSRule): The parameters.
        alive (np.ndarray): Poses not yet eliminated (N,); read again before
            each block.

    Yields:
        tuple: Indices of the references and of the candidates redundant
        with them, in ascending order.
    """
    radius, fraction = rule.near_joints()
    reach = np.full(len(ends), radius)
    if rule.distance_unit == 'box':
        reach *= terms.reference
    elif rule.box_shape == 'rectangle':
        # its sides are of the box's size, whatever the distance's unit
        corners = np.hypot(terms.half_sides[:, 0], terms.half_sides[:, 1])
        reach = np.maximum(reach, corners * (1 + 1e-9))
    if rule.match_fraction is not None:
        match = np.minimum(terms.reference, rule.match_cap)
        reach = np.maximum(reach, match * (1 + 1e-9))
    needed = np.maximum(terms.num_joints * fraction, 1)
    extents = pose_extents(terms.x, terms.y)
    start, block = 0, 64
    while start < len(ends):
        left = np.flatnonzero(alive[start:]) + start
        if len(left) == 0:
            return
        in_image = np.searchsorted(left, ends[left[0]])
        if in_image > _CROWD:
            rows, columns = left[: min(block, in_image)], left[:in_image]
            block = min(2 * block, 2048)
            i, j = crowd_pairs(terms, rows, columns, reach, needed)
        else:
            rows = left[: max(_BLOCK // max(in_image, 256), 1)]
            # only whole images, so that a crowd after them stays apart
            rows = rows[ends[rows] - ends[rows[0]] <= _CROWD]
            columns = left[: np.searchsorted(left, ends[rows[-1]])]
            i, j = overlapping_pairs(extents, rows, columns, reach, ends)
        yield _check_pairs(terms, i, j, reach, needed, rule)
        start = rows[-1] + 1


def _check_pairs(
    terms: PoseTerms,
    i: np.ndarray,
    j: np.ndarray,
    reach: np.ndarray,
    needed: np.ndarray,
    rule: PoseNMSRule,
) -> Pairs:
    """Those of the pairs (i, j) in which j is redundant with i."""
    num_joints = terms.x.shape[1]
    if len(i) * num_joints <= _FEW:
        redundant = redundant_pairs(terms, i, j, rule)
        return i[redundant], j[redundant]
    step = max(_CHUNK // max(num_joints, 1), 1)
    kept = []
    for start in range(0, len(i), step):
        rows, columns = i[start : start + step], j[start : start + step]
        dx = terms.x[columns] - terms.x[rows]
        dy = terms.y[columns] - terms.y[rows]
        near = dx * dx + dy * dy <= (reach[rows] ** 2)[:, None]
        some = (near.sum(1) >= needed[columns]).nonzero()[0]
        redundant = redundant_pairs(terms, rows[some], columns[some], rule)
        kept.append(some[redundant] + start)
    kept = np.concatenate(kept)
    return i[kept], j[kept]


def pairs_on_device(
    terms: PoseTerms, ends: np.ndarray, rule: PoseNMSRule
) -> Iterator[Pairs]:
    """Find the redundant pairs of a whole batch with torch.

    Every pair of poses of an image is compared, a large chunk at a time;
    the device is waited for once a chunk.

    Args:
        terms (PoseTerms): The sorted poses (N) as tensors on one device.
        ends (np.ndarray): For every pose, the end of its image (N,).
        rule (PoseNMSRule): The parameters.

    Yields:
        tuple: As :func:`pairs_in_blocks`.
    """
    device = terms.x.device
    step = max(_CHUNK_GPU // max(terms.x.shape[1], 1), 1)
    counts = ends - np.arange(len(ends)) - 1
    before = np.cumsum(counts) - counts
    total = int(counts.sum())
    before_on_device = torch.from_numpy(before).to(device)
    for start in range(0, total, step):
        pair = torch.arange(start, min(start + step, total), device=device)
        i = torch.searchsorted(before_on_device, pair, right=True) - 1
        j = i + 1 + pair - before_on_device[i]
        redundant = redundant_pairs(terms, i, j, rule)
        found = pair[redundant].cpu().numpy()
        i = np.searchsorted(before, found, side='right') - 1
        yield i, i + 1 + found - before[i]
