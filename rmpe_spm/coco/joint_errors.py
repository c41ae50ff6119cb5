"""How far predicted joints are off, by joint and by distance from the root.

AP says whether poses are good; these errors say which of their joints are
not. A representation that reaches joints by vectors from the root errs more
the further away a joint is, and a chain of short vectors may err less.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .ground_truth import ImageGroundTruth, PoseSet

# A person whose other labelled joints are fewer has no centre to speak of.
MIN_OTHER_JOINTS = 3


@dataclass(frozen=True)
class JointErrors:
    r"""Errors (P, K) in units of :math:`\sqrt{area}`, NaN where unknown.

    Beside them are the distances of annotated joints from their person's
    root, the mean of the labelled joints.
    """

    errors: np.ndarray
    root_distances: np.ndarray


def match_by_other_joints(
    keypoints: np.ndarray,
    scores: np.ndarray,
    truth: ImageGroundTruth,
    max_distance: float = 0.5,
) -> np.ndarray:
    r"""Match poses (N, K, 2) with people, for each joint by all the others.

    A pose and a person are as far apart as the means of their joints that are
    labelled, in units of :math:`\sqrt{area}`. Best score first, each pose
    takes the nearest person that is still free and in reach. For the error of
    joint j the means leave j out, so that no error of j, however large,
    decides whether it is counted. Matching by OKS would count joints only
    where they are good, and make a method with large errors look better.

    Returns for each joint and person the index of the pose (K, G), or -1.
    """
    labelled = truth.keypoints[..., 2] > 0
    num_people, num_joints = labelled.shape
    others = labelled.sum(1, keepdims=True) - labelled
    offsets = keypoints[:, None] - truth.keypoints[None, ..., :2]
    offsets = np.where(labelled[..., None], offsets, 0.0)
    without = offsets.sum(2, keepdims=True) - offsets
    distances = np.linalg.norm(without, axis=-1)
    with np.errstate(divide='ignore', invalid='ignore'):
        distances /= others * np.sqrt(truth.areas)[:, None]
    # (N, G, K), infinite where there is nothing to match
    in_reach = _can_be_matched(truth) & (distances <= max_distance)
    distances = np.where(in_reach, distances, np.inf)

    matches = np.full((num_joints, num_people), -1)
    if num_people == 0:
        return matches
    joints = np.arange(num_joints)
    for index in np.argsort(-np.asarray(scores), kind='stable'):
        free = np.where(matches < 0, distances[index].T, np.inf)
        nearest = free.argmin(1)
        taken = np.isfinite(free[joints, nearest])
        matches[joints[taken], nearest[taken]] = index
    return matches


def _can_be_matched(truth: ImageGroundTruth) -> np.ndarray:
    """People that have enough joints beside each one, (G, K)."""
    labelled = truth.keypoints[..., 2] > 0
    others = labelled.sum(1, keepdims=True) - labelled
    usable = (truth.areas > 0) & ~truth.ignored
    return (others >= MIN_OTHER_JOINTS) & usable[:, None]


def joint_errors(pose_set: PoseSet, max_distance: float = 0.5) -> JointErrors:
    """Measure the errors of all joints, people by image and annotation."""
    errors, distances = [], []
    for keypoints, scores, truth in zip(
        pose_set.keypoints, pose_set.scores, pose_set.truths, strict=True
    ):
        points = truth.keypoints[..., :2]
        labelled = truth.keypoints[..., 2] > 0
        scale = np.sqrt(truth.areas)[:, None]
        weights = labelled / np.maximum(labelled.sum(1, keepdims=True), 1)
        roots = (points * weights[..., None]).sum(1, keepdims=True)
        matches = match_by_other_joints(
            keypoints, scores, truth, max_distance
        ).T
        found = np.zeros_like(points)
        if len(keypoints):
            found = keypoints[matches, np.arange(points.shape[1])]
        with np.errstate(divide='ignore', invalid='ignore'):
            error = np.linalg.norm(found - points, axis=-1) / scale
            distance = np.linalg.norm(points - roots, axis=-1) / scale
        errors.append(np.where(labelled & (matches >= 0), error, np.nan))
        usable = labelled & (truth.areas > 0)[:, None]
        distances.append(np.where(usable, distance, np.nan))
    return JointErrors(np.concatenate(errors), np.concatenate(distances))


def keep_common(results: Sequence[JointErrors]) -> list[JointErrors]:
    """Keep the joints that all results have, for a fair comparison."""
    first = results[0].root_distances
    for result in results:
        if not np.array_equal(result.root_distances, first, equal_nan=True):
            raise ValueError(
                'the joint errors are not on the same annotations: '
                'they have other people or joints'
            )
    common = np.isfinite([result.errors for result in results]).all(0)
    return [
        JointErrors(
            np.where(common, result.errors, np.nan),
            np.where(common, first, np.nan),
        )
        for result in results
    ]


def group_joints(names: Sequence[str]) -> dict[str, list[int]]:
    """Indices of joints by their names without ``left_`` and ``right_``."""
    groups = {}
    for index, name in enumerate(names):
        name = name.removeprefix('left_').removeprefix('right_')
        groups.setdefault(name, []).append(index)
    return groups


def distance_edges(root_distances: np.ndarray, num_bins: int) -> np.ndarray:
    """Edges (num_bins + 1,) between bins of about equally many distances."""
    values = root_distances[np.isfinite(root_distances)]
    if len(values) < num_bins:
        raise ValueError(
            f'{len(values)} joints were found by all results, too few for '
            f'{num_bins} bins of their distance from the root'
        )
    return np.quantile(values, np.linspace(0, 1, num_bins + 1))


def mean_by_distance(result: JointErrors, edges: np.ndarray) -> np.ndarray:
    """Mean error (B,) in each bin of distance, NaN in an empty one."""
    known = np.isfinite(result.errors)
    errors, distances = result.errors[known], result.root_distances[known]
    bins = np.searchsorted(edges, distances, side='right') - 1
    bins = np.where(distances == edges[-1], len(edges) - 2, bins)
    inside = (bins >= 0) & (bins < len(edges) - 1)
    size = len(edges) - 1
    totals = np.bincount(bins[inside], errors[inside], minlength=size)
    counts = np.bincount(bins[inside], minlength=size)
    with np.errstate(invalid='ignore'):
        return totals / counts
