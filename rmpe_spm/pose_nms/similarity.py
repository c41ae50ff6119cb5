"""The similarity of two poses: RMPE, eqs. 8-10."""

from dataclasses import dataclass
from types import ModuleType
from typing import Any, Union

import numpy as np
import torch
from torch import Tensor

from ..poses import clean_scores, present_joints
from .rule import PoseNMSRule

Array = Union[np.ndarray, Tensor]

# the released code gives joints without a score this one, so that means
# weighted by the scores exist
SCORE_FLOOR = 1e-5


def namespace(array: Array) -> ModuleType:
    """The module, numpy or torch, whose functions take this array."""
    return torch if isinstance(array, Tensor) else np


@dataclass
class PoseTerms:
    """What the similarity of pairs needs of every pose (N poses, K joints).

    Attributes:
        x, y (np.ndarray | Tensor): Coordinates (N, K) in pixels, float64;
            NaN for a missing joint.
        softness (np.ndarray | Tensor): tanh(c / sigma1), (N, K).
        num_joints (np.ndarray | Tensor): Joints that each pose has, (N,).
        reference (np.ndarray | Tensor): alpha * max(w, h), at least one
            pixel, (N,).
        half_sides (np.ndarray | Tensor): Half the width and height of the
            matching box, at least one pixel, (N, 2).
    """

    x: Array
    y: Array
    softness: Array
    num_joints: Array
    reference: Array
    half_sides: Array

    def __getitem__(self, index: Any) -> 'PoseTerms':
        """The same for the poses at ``index``."""
        return PoseTerms(
            self.x[index],
            self.y[index],
            self.softness[index],
            self.num_joints[index],
            self.reference[index],
            self.half_sides[index],
        )

    def to(self, device: torch.device) -> 'PoseTerms':
        """The same as tensors on a device, sent in one transfer."""
        num_joints = self.x.shape[1]
        vectors = np.stack([self.num_joints, self.reference], 1)
        fields = [self.x, self.y, self.softness, self.half_sides, vectors]
        packed = torch.from_numpy(np.concatenate(fields, 1)).to(device)
        x, y, softness, half_sides, vectors = packed.split(
            [num_joints, num_joints, num_joints, 2, 2], 1
        )
        return PoseTerms(x, y, softness, *vectors.unbind(1), half_sides)


def pose_terms(
    keypoints: Array, scores: Array, bboxes_xyxy: Array, rule: PoseNMSRule
) -> PoseTerms:
    """Compute what the similarity needs of every single pose.

    Joints are missing as :func:`present_joints` has it.

    Args:
        keypoints (np.ndarray | Tensor): Shape (N, K, 2), in pixels.
        scores (np.ndarray | Tensor): Clean float64 scores (N, K).
        bboxes_xyxy (np.ndarray | Tensor): Boxes (N, 4) in pixels. Those
            that are empty or not finite count as tiny.
        rule (PoseNMSRule): The parameters.

    Returns:
        PoseTerms: Arrays of the same kind and device, in float64.
    """
    xp = namespace(keypoints)
    if xp is torch:
        keypoints, boxes = keypoints.double(), bboxes_xyxy.double()
    else:
        keypoints = np.asarray(keypoints, dtype=np.float64)
        boxes = np.asarray(bboxes_xyxy, dtype=np.float64)
    x, y = keypoints[..., 0], keypoints[..., 1]
    if xp is np and np.isfinite(keypoints).all() and scores.all():
        # no joint can be missing
        num_joints = np.full(len(x), x.shape[1])
    else:
        present = present_joints(keypoints, scores)
        x = xp.where(present, x, xp.nan)
        y = xp.where(present, y, xp.nan)
        scores = xp.where(scores > 0, scores, SCORE_FLOOR)
        num_joints = present.sum(1)
    sides = boxes[:, 2:] - boxes[:, :2]
    sides = xp.where(xp.isfinite(sides), sides, 0.0) * rule.alpha
    one = xp.ones_like(sides)
    return PoseTerms(
        x,
        y,
        xp.tanh(scores / rule.sigma1),
        num_joints,
        xp.maximum(xp.maximum(sides[:, 0], sides[:, 1]), one[:, 0]),
        xp.maximum(sides / 2, one),
    )


def pair_similarity(
    terms: PoseTerms, i: Array, j: Array, rule: PoseNMSRule
) -> tuple[Array, Array, Array]:
    """K_Sim, H_Sim and the squared joint distances of pairs of poses.

    Both are sums over the joints that both poses have.

    Args:
        terms (PoseTerms): The poses.
        i (np.ndarray | Tensor): Indices of the references of P pairs.
        j (np.ndarray | Tensor): Indices of the candidates, (P,).
        rule (PoseNMSRule): The parameters.

    Returns:
        tuple: ``k_sim`` (P,), ``h_sim`` (P,) and the squared distances in
        pixels (P, K), infinite where a joint is missing.
    """
    xp = namespace(terms.x)
    dx = terms.x[j] - terms.x[i]
    dy = terms.y[j] - terms.y[i]
    squared = dx * dx + dy * dy
    squared[squared != squared] = xp.inf
    unit = terms.reference[i][:, None] if rule.distance_unit == 'box' else 1.0
    if rule.box_shape == 'rectangle':
        half = terms.half_sides[i][:, :, None]
        inside = (abs(dx) <= half[:, 0]) & (abs(dy) <= half[:, 1])
    else:
        inside = squared <= unit * unit
    k_sim = (inside * terms.softness[i] * terms.softness[j]).sum(1)
    if rule.kernel == 'gaussian':
        exponent = squared / (unit * unit * -rule.sigma2)
    else:
        exponent = xp.sqrt(squared) / (unit * -rule.sigma2)
    return k_sim, xp.exp(exponent).sum(1), squared


def redundant_pairs(
    terms: PoseTerms, i: Array, j: Array, rule: PoseNMSRule
) -> Array:
    """Whether each candidate is redundant with its reference (eq. 7).

    Args:
        terms (PoseTerms): The poses.
        i (np.ndarray | Tensor): Indices of the references of P pairs, the
            more confident poses.
        j (np.ndarray | Tensor): Indices of the candidates, (P,).
        rule (PoseNMSRule): The parameters.

    Returns:
        np.ndarray | Tensor: Booleans (P,).
    """
    k_sim, h_sim, squared = pair_similarity(terms, i, j, rule)
    num_joints = terms.num_joints[j]
    redundant = k_sim + rule.lambda_ * h_sim >= rule.eta * num_joints
    if rule.match_fraction is not None:
        limit = terms.reference[i].clip(max=rule.match_cap)[:, None]
        matches = (squared <= limit * limit).sum(1)
        # 5 / 17 of 17 joints are 5, whatever the rounding
        redundant |= matches >= rule.match_fraction * num_joints - 1e-9
    return redundant & (num_joints > 0)


def pose_similarity(
    keypoints: Array,
    keypoint_scores: Array,
    bboxes_xyxy: Array,
    other_keypoints: Array,
    other_scores: Array,
    rule: PoseNMSRule,
) -> Array:
    r"""The similarity d(P_i, P_j) of the paper's eq. 10, summed over joints.

    It is called a distance there, but grows with the similarity: it is 0 for
    poses with nothing in common and at most K (1 + lambda\_).

    Args:
        keypoints (np.ndarray | Tensor): Reference poses (N, K, 2), pixels.
        keypoint_scores (np.ndarray | Tensor): Their scores (N, K).
        bboxes_xyxy (np.ndarray | Tensor): Their boxes (N, 4) in pixels.
        other_keypoints (np.ndarray | Tensor): The other poses (N, K, 2).
        other_scores (np.ndarray | Tensor): Their scores (N, K).
        rule (PoseNMSRule): The parameters.

    Returns:
        np.ndarray | Tensor: Similarities (N,), float64.
    """
    xp = namespace(keypoints)
    terms = pose_terms(
        xp.concatenate([keypoints, other_keypoints]),
        clean_scores(xp.concatenate([keypoint_scores, other_scores])),
        xp.concatenate([bboxes_xyxy, bboxes_xyxy]),
        rule,
    )
    k_sim, h_sim, _ = pair_similarity(
        terms, slice(None, len(keypoints)), slice(len(keypoints), None), rule
    )
    return k_sim + rule.lambda_ * h_sim


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
