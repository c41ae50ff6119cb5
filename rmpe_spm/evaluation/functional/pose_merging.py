"""Merging the redundant poses of a person into one."""

import numpy as np

from .pose_nms_rule import PoseNMSRule
from .pose_similarity import SCORE_FLOOR, PoseTerms


def merge_poses(
    keypoints: np.ndarray,
    scores: np.ndarray,
    terms: PoseTerms,
    members: np.ndarray,
    sizes: np.ndarray,
    rule: PoseNMSRule,
) -> tuple[np.ndarray, np.ndarray]:
    """Merge every cluster into its first member.

    A joint of the merged pose is the mean, weighted by the scores, of those
    members' joints that lie within the reference distance of the first
    member's, and within ``rule.merge_cap``. Its score is the highest of
    theirs, or sum(c^2) / sum(c). This is in the authors' code, not in the
    paper. A pose alone in its cluster does not change.

    Args:
        keypoints (np.ndarray): Poses (N, K, 2) in pixels, float64.
        scores (np.ndarray): Clean scores (N, K), float64.
        terms (PoseTerms): :func:`pose_terms` of the same poses.
        members (np.ndarray): Indices of the poses, cluster after cluster.
        sizes (np.ndarray): Number of members of each of the C clusters; a
            cluster's first member is its reference.
        rule (PoseNMSRule): The parameters; ``rule.merge`` must be set.

    Returns:
        tuple: Keypoints (C, K, 2) and scores (C, K), float64.
    """
    starts = sizes.cumsum() - sizes
    merged = keypoints[members[starts]]
    merged_scores = scores[members[starts]]
    several = sizes > 1
    if not several.any():
        return merged, merged_scores
    if not several.all():
        members = members[np.repeat(several, sizes)]
        sizes = sizes[several]
        starts = sizes.cumsum() - sizes
    picks = np.repeat(members[starts], sizes)
    dx = terms.x[members] - terms.x[picks]
    dy = terms.y[members] - terms.y[picks]
    limit = np.minimum(terms.reference[picks], rule.merge_cap)[:, None]
    near = dx * dx + dy * dy <= limit * limit
    joint_scores = scores[members]
    weights = near * np.maximum(joint_scores, SCORE_FLOOR)
    offsets = np.where(near, (dx, dy), 0.0)
    sums = np.add.reduceat(
        weights * (*offsets, joint_scores, near), starts, axis=1
    )
    # a joint that the reference lacks has nothing near it and stays as it is
    sums = sums[:3] / np.maximum(sums[3], SCORE_FLOOR)
    merged[several] += sums[:2].transpose(1, 2, 0)
    if rule.merge == 'max':
        best = np.maximum.reduceat(near * joint_scores, starts)
    else:
        best = sums[2]
    merged_scores[several] = best
    return merged, merged_scores
