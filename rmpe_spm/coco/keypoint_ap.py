"""COCO's matching of poses with people, and the AP of any of the poses."""

from copy import copy
from dataclasses import dataclass

import numpy as np

from .ground_truth import FlatGroundTruth, PoseSet, pairs_within
from .results import MAX_POSES

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)

# areas of people and poses that count, in square pixels
ALL_AREAS = (0.0, 1e5**2)

# poses and people compared at once, and resamples times poses
_PAIRS, _CELLS = 1 << 14, 1 << 21


class KeypointAP:
    """AP of any subset of the poses of a data set, within milliseconds.

    What does not depend on the subset is computed once. The results are those
    of COCO's evaluation, for 20 poses an image. Poses (T, K, 2) come image
    after image, of ``sizes`` (I,); poses of other ``areas`` (T,) than count
    are no false positives.
    """

    def __init__(
        self,
        people: FlatGroundTruth,
        keypoints: np.ndarray,
        scores: np.ndarray,
        sizes: np.ndarray,
        sigmas: np.ndarray,
        areas: np.ndarray | None = None,
    ) -> None:
        self.people = people
        self.sizes = sizes
        images = np.repeat(np.arange(len(sizes)), sizes)
        # places of poses by image, then score: COCO's order of matching
        self.by_image = np.lexsort((-scores, images))
        self.image_starts = np.cumsum(sizes) - sizes
        self.by_score = np.argsort(-scores[self.by_image], kind='stable')
        if areas is None:
            areas = np.zeros(len(scores))
        self.areas = areas[self.by_image]
        ordered = keypoints[self.by_image]
        pose, person = pairs_within(sizes, people.counts)
        oks = np.zeros(len(pose))
        for start in range(0, len(pose), _PAIRS):
            part = slice(start, start + _PAIRS)
            oks[part] = people.oks(ordered[pose[part]], person[part], sigmas)
        near = oks >= THRESHOLDS[0]
        self.pose, self.person, self.oks = pose[near], person[near], oks[near]
        self._limit(*ALL_AREAS)

    @classmethod
    def of(cls, poses: PoseSet, sigmas: np.ndarray) -> 'KeypointAP':
        """All the poses of a set."""
        areas = poses.areas
        return cls(
            FlatGroundTruth(poses.truths),
            np.concatenate(poses.keypoints),
            np.concatenate(poses.scores),
            np.array([len(scores) for scores in poses.scores]),
            np.asarray(sigmas),
            None if areas is None else np.concatenate(areas),
        )

    def within(self, low: float, high: float) -> 'KeypointAP':
        """Give that of people and poses of these areas; others don't count."""
        other = copy(self)
        other._limit(low, high)
        return other

    def _limit(self, low: float, high: float) -> None:
        """Say who counts, and sort the pairs of each pose, best last."""
        areas = self.people.areas
        self.ignored = self.people.ignored | (areas < low) | (areas > high)
        self.outside = (self.areas < low) | (self.areas > high)
        # people that count come before others; the last of equals wins
        counts = ~self.ignored[self.person]
        order = np.lexsort((self.person, self.oks, counts, self.pose))
        self.pose, self.person = self.pose[order], self.person[order]
        self.oks = self.oks[order]
        self.good = self.oks[:, None] >= THRESHOLDS
        self.is_first = np.diff(self.pose, prepend=-1) > 0

    def __call__(self, kept: np.ndarray | None = None) -> float:
        """COCO's AP of the poses that are ``kept`` (T,), bool, or of all."""
        return float(self.curves(kept)[0].mean())

    def curves(
        self, kept: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Interpolated precision (10, 101) and highest recall (10,).

        At 10 thresholds of OKS and 101 recalls; -1 where nobody counts.
        """
        kept, true, false = self.matches(kept)
        order = self.by_score[kept[self.by_score]]
        precisions = np.zeros((len(THRESHOLDS), len(RECALLS)))
        number = (~self.ignored).sum()
        if number == 0:
            return precisions - 1, precisions[:, 0] - 1
        if len(order) == 0:
            return precisions, precisions[:, 0]
        true = true[order].cumsum(0).T.astype(np.float64)
        false = false[order].cumsum(0).T
        recall = true / number
        precision = true / (false + true + np.spacing(1))
        precision = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
        for row in range(len(THRESHOLDS)):
            place = np.searchsorted(recall[row], RECALLS, side='left')
            inside = place < len(order)
            precisions[row, inside] = precision[row, place[inside]]
        return precisions, recall[:, -1]

    def matches(
        self, kept: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Which poses of a subset are right, by ``by_image``.

        Whether each counts (T,), is a true positive at the 10 thresholds of
        OKS (T, 10), and is a false one (T, 10).
        """
        if kept is None:
            kept = np.ones(len(self.by_image), dtype=bool)
        kept = kept[self.by_image]
        number = np.cumsum(kept)
        before = np.concatenate([[0], number])[self.image_starts]
        rank = number - np.repeat(before, self.sizes)
        kept = kept & (rank <= MAX_POSES)
        matched = np.zeros((len(kept), len(THRESHOLDS)), dtype=bool)
        true = np.zeros_like(matched)
        free = np.ones((len(self.ignored), len(THRESHOLDS)), dtype=bool)
        # the k-th poses of all images take the best people left to them
        steps = np.where(kept, rank, 0).astype(np.uint8)[self.pose]
        order = np.argsort(steps, kind='stable').astype(np.int32)
        ends = np.searchsorted(steps[order], range(1, MAX_POSES + 2))
        for pairs in np.split(order, ends)[1:-1]:
            if len(pairs) == 0:
                continue
            good = self.good[pairs] & free[self.person[pairs]]
            best = np.where(good, pairs[:, None], np.int32(-1))
            starts = np.flatnonzero(self.is_first[pairs])
            best = np.maximum.reduceat(best, starts)
            rows, columns = (best >= 0).nonzero()
            best = best[rows, columns]
            pose, person = self.pose[best], self.person[best]
            matched[pose, columns] = True
            true[pose, columns] = ~self.ignored[person]
            # a crowd can be matched any number of times
            free[person, columns] = self.people.crowd[person]
        return kept, true, ~(matched | self.outside[:, None])


@dataclass(frozen=True)
class PoseMatches:
    """All that COCO's AP needs of D poses, by falling score, in I images."""

    image_ids: tuple
    people: np.ndarray  # number of people to find in each image, (I,)
    image: np.ndarray  # place of every pose's image, (D,)
    true_positives: np.ndarray  # (10, D), bool, by threshold of OKS
    false_positives: np.ndarray  # (10, D), bool

    def ap(self, counts: np.ndarray | None = None) -> np.ndarray:
        """COCO's AP (B,) with images counted ``counts`` (B, I) times, or once.

        It is that of evaluating a data set with the copies of the images.
        Poses of the same score count one after another, each with all its
        copies. NaN where there is nobody to find.
        """
        if counts is None:
            counts = np.ones((1, len(self.people)), dtype=np.int64)
        step = max(1, _CELLS // max(1, len(self.image)))
        starts = range(0, len(counts), step)
        return np.concatenate([self._ap(counts[i : i + step]) for i in starts])

    def _ap(self, counts: np.ndarray) -> np.ndarray:
        """:meth:`ap` of a number of resamples at once."""
        number = (counts @ self.people)[:, None].astype(np.float64)
        number[number == 0] = np.nan
        weights = counts[:, self.image].astype(np.int32)
        total = np.zeros(len(counts))
        for true, false in zip(
            self.true_positives, self.false_positives, strict=True
        ):
            # Precision rises along the copies of a pose that has found
            # somebody and falls along others: the last copies of the former
            # have all its maxima.
            hits = true.nonzero()[0]
            right = weights[:, hits].cumsum(1, dtype=np.int32)
            alarms = (weights * false).cumsum(1, dtype=np.int32)[:, hits]
            precision = right / (right + alarms + np.spacing(1))
            precision = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
            # number of COCO's recalls up to each pose's, after the last's
            levels = np.searchsorted(RECALLS, right / number, side='right')
            total += (precision * np.diff(levels, axis=1, prepend=0)).sum(1)
        total[np.isnan(number[:, 0])] = np.nan
        return total / (len(THRESHOLDS) * len(RECALLS))


def match_poses(poses: PoseSet, sigmas: np.ndarray) -> PoseMatches:
    """Match poses with people as COCO's evaluation does, once for all."""
    evaluation = KeypointAP.of(poses, sigmas)
    kept, true, false = evaluation.matches()
    order = evaluation.by_score[kept[evaluation.by_score]]
    sizes = evaluation.sizes
    return PoseMatches(
        image_ids=tuple(poses.image_ids),
        people=np.array([(~truth.ignored).sum() for truth in poses.truths]),
        image=np.repeat(np.arange(len(sizes)), sizes)[order],
        true_positives=true[order].T,
        false_positives=false[order].T,
    )
