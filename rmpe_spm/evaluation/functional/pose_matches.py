"""Which poses have found whom: the AP of any resample of the images."""

from dataclasses import dataclass

import numpy as np

from .annotated_people import AnnotatedPeople
from .coco_poses import PoseSet
from .keypoint_ap import RECALLS, THRESHOLDS, KeypointAP

# COCO's largest area: larger poses that find nobody aren't counted
_MAX_AREA = 1e5**2
# resamples times poses at once
_CELLS = 1 << 21


@dataclass(frozen=True)
class PoseMatches:
    """All that COCO's AP needs of D poses in I images.

    Attributes:
        image_ids (tuple): The images.
        people (np.ndarray): Number of people to find in each, (I,).
        image (np.ndarray): Place of every pose's image, (D,); the poses by
            falling score.
        found (np.ndarray): Whether each has found somebody, at the 10
            thresholds of OKS, (10, D), bool.
        wrong (np.ndarray): Whether it is a false alarm, (10, D), bool.
            Poses that have found somebody to ignore are neither.
    """

    image_ids: tuple
    people: np.ndarray
    image: np.ndarray
    found: np.ndarray
    wrong: np.ndarray

    def ap(self, counts: np.ndarray | None = None) -> np.ndarray:
        """COCO's AP with every image counted so many times.

        It is that of evaluating a data set with the copies of the images.
        Poses of the same score count one after another, each with all its
        copies.

        Args:
            counts (np.ndarray, optional): Of each resample, (B, I), int.
                Defaults to None: one, of every image once.

        Returns:
            np.ndarray: AP (B,), 0 to 1; NaN where there is nobody to find.
        """
        if counts is None:
            counts = np.ones((1, len(self.people)), dtype=np.int64)
        step = max(1, _CELLS // max(1, len(self.image)))
        parts = [
            self._ap(counts[start : start + step])
            for start in range(0, len(counts), step)
        ]
        return np.concatenate(parts)

    def _ap(self, counts: np.ndarray) -> np.ndarray:
        """:meth:`ap` of a number of resamples at once."""
        number = (counts @ self.people)[:, None].astype(np.float64)
        number[number == 0] = np.nan
        weights = counts[:, self.image].astype(np.int32)
        total = np.zeros(len(counts))
        for found, wrong in zip(self.found, self.wrong, strict=True):
            # Precision rises along the copies of a pose that has found
            # somebody and falls along others: the last copies of the former
            # have all its maxima.
            hits = found.nonzero()[0]
            right = weights[:, hits].cumsum(1, dtype=np.int32)
            alarms = (weights * wrong).cumsum(1, dtype=np.int32)[:, hits]
            precision = right / (right + alarms + np.spacing(1))
            precision = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
            # number of COCO's recalls up to each pose's, after the last's
            levels = np.searchsorted(RECALLS, right / number, side='right')
            total += (precision * np.diff(levels, axis=1, prepend=0)).sum(1)
        total[np.isnan(number[:, 0])] = np.nan
        return total / (len(THRESHOLDS) * len(RECALLS))


def match_poses(poses: PoseSet, sigmas: np.ndarray) -> PoseMatches:
    """Match poses with people as COCO's evaluation does, once for all.

    For one category and people of all sizes.

    Args:
        poses (PoseSet): Results and annotations.
        sigmas (np.ndarray): Shape (K,).

    Returns:
        PoseMatches: The matches.

    Raises:
        NobodyToFind: If no person is annotated.
    """
    sizes = np.array([len(scores) for scores in poses.scores])
    evaluation = KeypointAP(
        AnnotatedPeople(poses.truths),
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
        found=(matched & ~ignored)[order].T,
        wrong=(~matched & ~huge[:, None])[order].T,
    )
