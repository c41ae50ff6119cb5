"""Parametric pose NMS: RMPE, sec. 3.2."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from .crowd_pairs import crowd_pairs
from .greedy_nms import eliminate_pairs
from .pose_extents import Pairs, overlapping_pairs, pose_extents
from .pose_nms_rule import PoseNMSRule
from .pose_similarity import PoseTerms, redundant_pairs

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
