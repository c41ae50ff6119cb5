"""Pairs of poses with joints near each other, among thousands of poses."""

import numpy as np
from scipy.spatial import cKDTree

from .pose_similarity import PoseTerms


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
