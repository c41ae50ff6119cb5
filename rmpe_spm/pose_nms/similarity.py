"""The similarity of two poses: RMPE, eqs. 8-10."""

import math

import numpy as np

from ..poses import present_joints
from .base import PoseBatch
from .rule import PoseNMSRule

# the released code gives joints without a score this one, so that means
# weighted by the scores exist
SCORE_FLOOR = 1e-5


class PoseSimilarity:
    """How much poses are alike, by a rule, and what becomes of those that are.

    Of N poses of K joints it knows ``x`` and ``y`` (N, K), in pixels, NaN for
    a missing joint; ``softness`` (N, K), tanh(c / sigma1); ``num_joints``
    (N,) that each pose has; ``reference`` (N,), alpha * max(w, h), and
    ``half_sides`` (N, 2) of the matching box, all at least one pixel; and
    ``unit`` (N,) of the distances.
    """

    def __init__(self, poses: PoseBatch, rule: PoseNMSRule) -> None:
        self.rule = rule
        self.keypoints = poses.keypoints
        self.scores = poses.keypoint_scores
        present = present_joints(self.keypoints, self.scores)
        self.x = np.where(present, self.keypoints[..., 0], np.nan)
        self.y = np.where(present, self.keypoints[..., 1], np.nan)
        self.num_joints = present.sum(1)
        self.softness = self.soften(rule.sigma1)
        sides = poses.bboxes_xyxy[:, 2:] - poses.bboxes_xyxy[:, :2]
        sides = np.where(np.isfinite(sides), sides, 0.0) * rule.alpha
        self.half_sides = np.maximum(sides / 2, 1)
        self.reference = np.maximum(np.maximum(sides[:, 0], sides[:, 1]), 1)
        self.unit = np.ones(len(sides))
        if rule.distance_unit == 'box':
            self.unit = self.reference

    def soften(self, sigma1: float) -> np.ndarray:
        """tanh(c / sigma1) of the joints' scores, (N, K)."""
        scores = np.where(self.scores > 0, self.scores, SCORE_FLOOR)
        return np.tanh(scores / sigma1)

    def compare(
        self, i: np.ndarray, j: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Squared distances (P, K) of joints of P references and candidates.

        Infinite where a joint is missing; and whether the candidate's joint is
        in the matching box of the reference's.
        """
        dx = self.x.take(j, axis=0) - self.x.take(i, axis=0)
        dy = self.y.take(j, axis=0) - self.y.take(i, axis=0)
        squared = dx * dx + dy * dy
        squared[squared != squared] = np.inf
        if self.rule.box_shape == 'circle':
            return squared, squared <= (self.unit[i] ** 2)[:, None]
        half = self.half_sides[i][:, :, None]
        return squared, (abs(dx) <= half[:, 0]) & (abs(dy) <= half[:, 1])

    def h_sim(
        self, squared: np.ndarray, i: np.ndarray, sigma2: float
    ) -> np.ndarray:
        """H_Sim (P,) of squared distances (P, K) from references i (eq. 9)."""
        unit = self.unit[i][:, None]
        if self.rule.kernel == 'gaussian':
            exponent = squared / (unit * unit * -sigma2)
        else:
            exponent = np.sqrt(squared) / (unit * -sigma2)
        return np.exp(exponent).sum(1)

    def matches(
        self, squared: np.ndarray, i: np.ndarray, j: np.ndarray
    ) -> np.ndarray:
        """Whether enough of the candidates' joints match, (P,)."""
        limit = np.minimum(self.reference[i], self.rule.match_cap)[:, None]
        number = (squared <= limit * limit).sum(1)
        # 5 / 17 of 17 joints are 5, whatever the rounding
        needed = self.rule.match_fraction * self.num_joints[j] - 1e-9
        return number >= needed

    def total(
        self,
        squared: np.ndarray,
        inside: np.ndarray,
        i: np.ndarray,
        j: np.ndarray,
    ) -> np.ndarray:
        """The sum d(P_i, P_j) of eq. 10 for P compared pairs, (P,).

        It grows with the similarity, from 0 to at most K (1 + lambda).
        """
        rule = self.rule
        k_sim = inside * self.softness.take(i, axis=0)
        k_sim = (k_sim * self.softness.take(j, axis=0)).sum(1)
        return k_sim + rule.lambda_ * self.h_sim(squared, i, rule.sigma2)

    def redundant(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Whether candidates j are redundant with their references i, (P,)."""
        squared, inside = self.compare(i, j)
        number = self.num_joints[j]
        similarity = self.total(squared, inside, i, j)
        redundant = similarity >= self.rule.eta * number
        if self.rule.match_fraction is not None:
            redundant |= self.matches(squared, i, j)
        return redundant & (number > 0)

    @property
    def reach(self) -> np.ndarray:
        """Pixels beyond which no joint makes a pose redundant with it, (N,).

        At a distance d a joint adds at most [in the box] + lambda h(d). A
        pose whose joints all add less than eta is not redundant.
        """
        rule, radius = self.rule, 0.0
        if rule.lambda_ > rule.eta:
            radius = rule.sigma2 * math.log(rule.lambda_ / rule.eta)
            if rule.kernel == 'gaussian':
                radius = math.sqrt(radius)
        box = self.unit
        if rule.box_shape == 'rectangle':
            box = np.hypot(self.half_sides[:, 0], self.half_sides[:, 1])
        reach = np.maximum(box, radius * self.unit)
        if rule.match_fraction is not None:
            match = np.minimum(self.reference, rule.match_cap)
            reach = np.maximum(reach, match)
        return reach * (1 + 1e-9)

    def merge(
        self, members: np.ndarray, sizes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Merge every cluster into its first member.

        A joint of the merged pose is the mean, weighted by the scores, of
        those members' joints that lie within the reference distance of the
        first member's, and within ``rule.merge_cap``. Its score is the
        highest of theirs, or sum(c^2) / sum(c), as in the authors' code.
        """
        picks = members[sizes.cumsum() - sizes]
        merged, merged_scores = self.keypoints[picks], self.scores[picks]
        several = sizes > 1
        if not several.any():
            return merged, merged_scores
        members = members[np.repeat(several, sizes)]
        picks = np.repeat(picks[several], sizes[several])
        starts = sizes[several].cumsum() - sizes[several]
        dx = self.x[members] - self.x[picks]
        dy = self.y[members] - self.y[picks]
        limit = np.minimum(self.reference[picks], self.rule.merge_cap)[:, None]
        near = dx * dx + dy * dy <= limit * limit
        scores = self.scores[members]
        weights = near * np.maximum(scores, SCORE_FLOOR)
        total = np.add.reduceat(weights, starts)
        # what the reference lacks has nothing near it and stays as it is
        total = np.maximum(total, SCORE_FLOOR)
        x, y, mean = (
            np.add.reduceat(weights * values, starts) / total
            for values in (
                np.where(near, dx, 0.0),
                np.where(near, dy, 0.0),
                scores,
            )
        )
        merged[several] += np.stack([x, y], -1)
        if self.rule.merge == 'max':
            mean = np.maximum.reduceat(near * scores, starts)
        merged_scores[several] = mean
        return merged, merged_scores
