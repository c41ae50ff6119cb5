"""The AP after a pose NMS as a function of its parameters."""

from dataclasses import replace

import numpy as np

from ..coco.ground_truth import FlatGroundTruth, PoseSet
from ..coco.keypoint_ap import KeypointAP
from ..poses import clean_scores
from .rule import PoseNMSRule
from .similarity import (
    SCORE_FLOOR,
    PoseTerms,
    merge_poses,
    pair_similarity,
    pose_terms,
)

# that the parameters are looked for in
RANGES = dict(
    lambda_=(0.05, 8.0),
    eta=(0.05, 4.0),
    sigma1=(0.003, 10.0),
    sigma2=(0.1, 30.0),
)


class PoseNMSProblem:
    """AP after NMS as a function of the four parameters.

    Everything else of the rule is fixed. The joint distances of poses from
    one another are computed once. Without merging the NMS only chooses
    among poses, and their OKS with the annotations is computed once, too.

    Args:
        poses (PoseSet): Detected and annotated people.
        sigmas (np.ndarray): Of the OKS, (K,).
        rule (PoseNMSRule): What is fixed of the rule.
    """

    def __init__(
        self, poses: PoseSet, sigmas: np.ndarray, rule: PoseNMSRule
    ) -> None:
        self.rule = rule
        self.sigmas = sigmas
        self.people = FlatGroundTruth(poses.truths)
        keypoints = np.concatenate(poses.keypoints)
        person_scores = np.concatenate(poses.scores)
        sizes = np.array([len(image) for image in poses.scores])
        self.ap = KeypointAP(
            self.people, keypoints, person_scores, sizes, sigmas
        )
        scores = clean_scores(np.concatenate(poses.keypoint_scores))
        if rule.rank_by == 'keypoint':
            confidence = scores.sum(1) / scores.shape[1]
        else:
            confidence = person_scores
        self.images = np.repeat(np.arange(len(sizes)), sizes)
        self.order = np.lexsort((-confidence, self.images))
        self.keypoints = keypoints[self.order]
        self.scores = scores[self.order]
        self.person_scores = person_scores[self.order]
        terms = pose_terms(
            self.keypoints,
            self.scores,
            np.concatenate(poses.bboxes_xyxy)[self.order],
            rule,
        )
        self.terms = terms
        self._cache_pairs(terms, sizes)
        self.k_sims: dict[float, np.ndarray] = {}
        self.h_sims: dict[float, np.ndarray] = {}

    def _cache_pairs(self, terms: PoseTerms, sizes: np.ndarray) -> None:
        """Distances of all pairs that any parameters can make redundant."""
        loosest = replace(
            self.rule,
            sigma1=RANGES['sigma1'][0],
            sigma2=RANGES['sigma2'][1],
            lambda_=RANGES['lambda_'][1],
            eta=RANGES['eta'][0],
        )
        found = []
        start = 0
        for size in sizes.tolist():
            i, j = np.triu_indices(size, 1)
            i, j = i + start, j + start
            start += size
            k_sim, h_sim, squared = pair_similarity(terms, i, j, loosest)
            known = terms.num_joints[j]
            limit = np.minimum(terms.reference[i], self.rule.match_cap)
            matches = (squared <= limit[:, None] ** 2).sum(1)
            match = np.zeros(len(i), dtype=bool)
            if self.rule.match_fraction is not None:
                match = matches >= self.rule.match_fraction * known - 1e-9
            similarity = k_sim + loosest.lambda_ * h_sim
            wanted = (similarity >= loosest.eta * known) | match
            wanted &= known > 0
            if wanted.any():
                i, j = i[wanted], j[wanted]
                found.append((i, j, squared[wanted], match[wanted]))
        if not found:
            none = np.zeros(0, dtype=np.intp)
            found = [(none, none, np.zeros((0, terms.x.shape[1])), none > 0)]
        self.i, self.j, squared, self.match = map(
            np.concatenate, zip(*found, strict=True)
        )
        unit = np.ones((len(self.i), 1))
        if self.rule.distance_unit == 'box':
            unit = terms.reference[self.i][:, None]
        self.distance = np.sqrt(squared) / unit
        self.inside = self._inside(terms, squared, unit)

    def _inside(
        self, terms: PoseTerms, squared: np.ndarray, unit: np.ndarray
    ) -> np.ndarray:
        """Whether the candidate's joints are in the box of the reference's."""
        if self.rule.box_shape == 'circle':
            return squared <= unit * unit
        half = terms.half_sides[self.i][:, :, None]
        dx = abs(terms.x[self.j] - terms.x[self.i])
        dy = abs(terms.y[self.j] - terms.y[self.i])
        return (dx <= half[:, 0]) & (dy <= half[:, 1])

    def k_sim(self, sigma1: float) -> np.ndarray:
        """K_Sim of all pairs, (P,)."""
        if sigma1 not in self.k_sims:
            scores = np.where(self.scores > 0, self.scores, SCORE_FLOOR)
            softness = np.tanh(scores / sigma1)
            self.k_sims[sigma1] = (
                self.inside * softness[self.i] * softness[self.j]
            ).sum(1)
        return self.k_sims[sigma1]

    def h_sim(self, sigma2: float) -> np.ndarray:
        """H_Sim of all pairs, (P,)."""
        if sigma2 not in self.h_sims:
            power = 2 if self.rule.kernel == 'gaussian' else 1
            self.h_sims[sigma2] = np.exp(-(self.distance**power) / sigma2).sum(
                1
            )
        return self.h_sims[sigma2]

    def owners(
        self, sigma1: float, sigma2: float, lambda_: float, eta: float
    ) -> np.ndarray:
        """Which pose eliminates each, (T,), both counted as in ``order``."""
        similarity = self.k_sim(sigma1) + lambda_ * self.h_sim(sigma2)
        redundant = similarity >= eta * self.terms.num_joints[self.j]
        redundant |= self.match
        i, j = self.i[redundant], self.j[redundant]
        alive = np.ones(len(self.order), dtype=bool)
        # what the k best poses of an image eliminate is right after k steps
        while True:
            after = np.ones_like(alive)
            after[j[alive[i]]] = False
            if (after == alive).all():
                break
            alive = after
        owners = np.arange(len(alive))
        i, j = i[alive[i]], j[alive[i]]
        # references ascend, so that the best one is written last
        owners[j[::-1]] = i[::-1]
        return owners

    def evaluate(
        self, sigma1: float, sigma2: float, lambda_: float, eta: float
    ) -> float:
        """AP after NMS; NaN for an eta that no similarity reaches."""
        if eta > 1 + lambda_:
            return float('nan')
        owners = self.owners(sigma1, sigma2, lambda_, eta)
        kept = owners == np.arange(len(owners))
        if self.rule.merge is None:
            in_input = np.empty_like(kept)
            in_input[self.order] = kept
            return self.ap(in_input)
        members = np.argsort((np.cumsum(kept) - 1)[owners], kind='stable')
        merged, _ = merge_poses(
            self.keypoints,
            self.scores,
            self.terms,
            members,
            np.bincount(owners, minlength=len(owners))[kept],
            self.rule,
        )
        images = self.images[kept]
        sizes = np.bincount(images, minlength=len(self.people.counts))
        return KeypointAP(
            self.people, merged, self.person_scores[kept], sizes, self.sigmas
        )()

    @property
    def start(self) -> dict[str, float]:
        """The four parameters of the rule given."""
        return {name: getattr(self.rule, name) for name in RANGES}

    def forget(self) -> None:
        """Drop the similarities kept for parameters seen so far."""
        self.k_sims.clear()
        self.h_sims.clear()
