"""COCO's keypoint AP, evaluated again and again for subsets of poses."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from .ground_truth import FlatGroundTruth, PoseSet, pairs_within
from .results import MAX_POSES

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)

# poses and people compared at once, and resamples times poses
_PAIRS, _CELLS = 1 << 14, 1 << 21

# COCO's largest area: larger poses that find nobody aren't counted
_MAX_AREA = 1e5**2


class KeypointAP:
    """AP of any subset of the poses of a data set, within milliseconds.

    What does not depend on the subset is computed once. The results are those
    of COCO's evaluation, for 20 poses an image and people of all sizes. Poses
    (T, K, 2) come image after image, of ``sizes`` (I,).
    """

    def __init__(
        self,
        people: FlatGroundTruth,
        keypoints: np.ndarray,
        scores: np.ndarray,
        sizes: np.ndarray,
        sigmas: np.ndarray,
    ) -> None:
        self.people = people
        self.sizes = sizes
        images = np.repeat(np.arange(len(sizes)), sizes)
        # places of poses by image, then score: COCO's order of matching
        self.by_image = np.lexsort((-scores, images))
        self.image_starts = np.cumsum(sizes) - sizes
        self.by_score = np.argsort(-scores[self.by_image], kind='stable')
        ordered = keypoints[self.by_image]
        pose, person = pairs_within(people.counts, people.starts, images)
        oks = np.zeros(len(pose))
        for start in range(0, len(pose), _PAIRS):
            part = slice(start, start + _PAIRS)
            oks[part] = people.oks(ordered[pose[part]], person[part], sigmas)
        good = oks >= THRESHOLDS[0]
        self._split_pairs(pose[good], person[good], oks[good])

    def _split_pairs(
        self, pose: np.ndarray, person: np.ndarray, oks: np.ndarray
    ) -> None:
        """Separate people whose poses match nobody else from the rest."""
        num_poses = len(self.by_image)
        num_nodes = num_poses + len(self.people.areas)
        links = coo_matrix(
            (np.ones(len(pose)), (pose, num_poses + person)),
            shape=(num_nodes, num_nodes),
        )
        _, group = connected_components(links, directed=False)
        rivals = np.bincount(group[num_poses:], minlength=group.max() + 1)
        alone = rivals[group[pose]] == 1
        order = np.lexsort((pose[alone], person[alone]))
        self.simple = tuple(
            values[alone][order] for values in (pose, person, oks)
        )
        # the first pose of each one's person
        self.simple_starts = np.searchsorted(self.simple[1], self.simple[1])
        self._pad_groups(
            pose[~alone], person[~alone], oks[~alone], group[pose[~alone]]
        )

    def _pad_groups(
        self,
        pose: np.ndarray,
        person: np.ndarray,
        oks: np.ndarray,
        group: np.ndarray,
    ) -> None:
        """Arrays of the groups of people that share poses."""
        _, group = np.unique(group, return_inverse=True)
        row = _place_in_group(group, pose)
        column = _place_in_group(group, person)
        number, depth, width = (
            int(values.max(initial=-1)) + 1 for values in (group, row, column)
        )
        self.group_poses = np.full((number, depth), -1, dtype=np.intp)
        self.group_people = np.full((number, width), -1, dtype=np.intp)
        self.group_oks = np.full((number, depth, width), -1.0)
        self.group_poses[group, row] = pose
        self.group_people[group, column] = person
        self.group_oks[group, row, column] = oks

    def __call__(self, kept: np.ndarray | None = None) -> float:
        """COCO's AP of the poses that are ``kept`` (T,), bool, or of all."""
        return float(self.precision(kept).mean())

    def precision(self, kept: np.ndarray | None = None) -> np.ndarray:
        """Interpolated precision at 10 thresholds of OKS and 101 recalls."""
        kept, matched, ignored = self.matches(kept)
        order = self.by_score[kept[self.by_score]]
        result = np.zeros((len(THRESHOLDS), len(RECALLS)))
        if len(order) == 0:
            return result
        true = (matched & ~ignored)[order].cumsum(0).T.astype(np.float64)
        false = (~matched)[order].cumsum(0).T
        recall = true / self.people.number
        precision = true / (false + true + np.spacing(1))
        precision = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
        for row in range(len(THRESHOLDS)):
            place = np.searchsorted(recall[row], RECALLS, side='left')
            inside = place < len(order)
            result[row, inside] = precision[row, place[inside]]
        return result

    def matches(
        self, kept: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Which poses of a subset have found somebody, by ``by_image``.

        Whether each counts (T,), has found somebody at the 10 thresholds of
        OKS (T, 10), and has found somebody to ignore (T, 10).
        """
        if kept is None:
            kept = np.ones(len(self.by_image), dtype=bool)
        kept = kept[self.by_image]
        number = np.cumsum(kept)
        before = np.concatenate([[0], number])[self.image_starts]
        kept = kept & (number - np.repeat(before, self.sizes) <= MAX_POSES)
        matched = np.zeros((len(kept), len(THRESHOLDS)), dtype=bool)
        ignored = np.zeros_like(matched)
        self._match_simple(kept, matched, ignored)
        self._match_groups(kept, matched, ignored)
        return kept, matched, ignored

    def _match_simple(
        self, kept: np.ndarray, matched: np.ndarray, ignored: np.ndarray
    ) -> None:
        """The best pose that is good enough gets the person."""
        pose, person, oks = self.simple
        good = kept[pose][:, None] & (oks[:, None] >= THRESHOLDS)
        number = np.cumsum(good, 0, dtype=np.int32)
        before = (number - good)[self.simple_starts]
        # a crowd can be matched any number of times
        good &= (number - before == 1) | self.people.crowd[person][:, None]
        matched[pose] = good
        ignored[pose] = good & self.people.ignored[person][:, None]

    def _match_groups(
        self, kept: np.ndarray, matched: np.ndarray, ignored: np.ndarray
    ) -> None:
        """Pose after pose takes the best person that is left to it."""
        if self.group_poses.size == 0:
            return
        active = kept[self.group_poses] & (self.group_poses >= 0)
        order = np.argsort(~active, axis=1, kind='stable')
        counts = active.sum(1)
        crowd = (self.people.crowd[self.group_people])[:, None]
        to_ignore = (self.people.ignored[self.group_people])[:, None]
        width = self.group_people.shape[1]
        free = np.ones((len(counts), len(THRESHOLDS), width), dtype=bool)
        for step in range(int(counts.max(initial=0))):
            group = (counts > step).nonzero()[0]
            row = order[group, step]
            pose = self.group_poses[group, row]
            oks = self.group_oks[group, row][:, None]
            good = free[group] & (oks >= THRESHOLDS[:, None])
            # people that count come before those to ignore; the last of
            # equals wins
            value = np.where(good, oks + 2 * ~to_ignore[group], -1.0)
            best = width - 1 - value[..., ::-1].argmax(-1)
            any_good = good.any(-1)
            matched[pose] = any_good
            taken = (np.arange(width) == best[..., None]) & any_good[..., None]
            ignored[pose] = (taken & to_ignore[group]).any(-1)
            free[group] &= ~taken | crowd[group]


def _place_in_group(group: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Place of each value among the distinct values of its group."""
    size = int(value.max(initial=0)) + 1
    keys, inverse = np.unique(group * size + value, return_inverse=True)
    groups = keys // size
    return (np.arange(len(keys)) - np.searchsorted(groups, groups))[inverse]


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
    sizes = np.array([len(scores) for scores in poses.scores])
    evaluation = KeypointAP(
        FlatGroundTruth(poses.truths),
        np.concatenate(poses.keypoints),
        np.concatenate(poses.scores),
        sizes,
        np.asarray(sigmas),
    )
    kept, matched, ignored = evaluation.matches()
    boxes = np.concatenate(poses.bboxes_xyxy)[evaluation.by_image]
    huge = (boxes[:, 2:] - boxes[:, :2]).prod(1) > _MAX_AREA
    order = evaluation.by_score[kept[evaluation.by_score]]
    return PoseMatches(
        image_ids=tuple(poses.image_ids),
        people=np.array([(~truth.ignored).sum() for truth in poses.truths]),
        image=np.repeat(np.arange(len(sizes)), sizes)[order],
        true_positives=(matched & ~ignored)[order].T,
        false_positives=(~matched & ~huge[:, None])[order].T,
    )
