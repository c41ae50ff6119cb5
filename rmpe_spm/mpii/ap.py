"""PCKh average precision of MPII's multi-person benchmark."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike

import numpy as np

from .annotations import COLUMNS, MPII14
from .matching import (
    NUM_JOINTS,
    AnnotatedPoses,
    MatchedJoints,
    PredictedPoses,
    match_poses,
)

# resamples times predicted people at once
_CELLS = 1 << 20


@dataclass(frozen=True)
class MpiiMatches:
    """All that the AP needs of D predicted people in I images.

    Attributes:
        image_ids (tuple): The images.
        positives (np.ndarray): Number of annotated joints of each image and
            kind, (I, 14).
        image (np.ndarray): Place of every predicted person's image, (D,).
        scores (np.ndarray): Of their joints, (D, 14).
        counted (np.ndarray): Whether the joint counts, (D, 14), bool.
        correct (np.ndarray): Whether it is a true positive, (D, 14), bool.
    """

    image_ids: tuple
    positives: np.ndarray
    image: np.ndarray
    scores: np.ndarray
    counted: np.ndarray
    correct: np.ndarray

    def ap(self, counts: np.ndarray | None = None) -> np.ndarray:
        """Total AP with every image counted so many times.

        It is that of evaluating a data set with the copies of the images.
        Joints of the same score count one after another, each with all its
        copies.

        Args:
            counts (np.ndarray, optional): Of each resample, (B, I), int.
                Defaults to None: one, of every image once.

        Returns:
            np.ndarray: Mean over the joints that are annotated, (B,), in
            percent as the metric's; NaN where none is.
        """
        if counts is None:
            counts = np.ones((1, len(self.positives)), dtype=np.int64)
        positives = (counts @ self.positives).astype(np.float64)
        total = np.zeros(len(counts))
        step = max(1, _CELLS // max(1, len(self.image)))
        for joint in range(positives.shape[1]):
            chosen = self.counted[:, joint].nonzero()[0]
            falling = np.argsort(-self.scores[chosen, joint], kind='stable')
            chosen = chosen[falling]
            correct = self.correct[chosen, joint]
            for start in range(0, len(counts), step):
                part = slice(start, start + step)
                weights = counts[part][:, self.image[chosen]]
                total[part] += _area(weights, correct, positives[part, joint])
        kinds = (positives > 0).sum(1)
        return 100 * np.divide(
            total, kinds, where=kinds > 0, out=np.full(len(counts), np.nan)
        )

    def save(self, path: str | PathLike) -> None:
        """Write the matches to a file.

        Args:
            path (str | PathLike): The file, ``.npz``.
        """
        np.savez_compressed(path, **vars(self))

    @classmethod
    def load(cls, path: str | PathLike) -> 'MpiiMatches':
        """Read what :meth:`save` has written.

        Args:
            path (str | PathLike): The file.

        Returns:
            MpiiMatches: The matches.
        """
        with np.load(path, allow_pickle=False) as content:
            fields = dict(content)
        return cls(
            **{**fields, 'image_ids': tuple(fields['image_ids'].tolist())}
        )


def matches_by_image(
    matched: MatchedJoints,
    annotated: Sequence[AnnotatedPoses],
    predicted: Sequence[PredictedPoses],
    image_ids: Sequence[int],
) -> MpiiMatches:
    """Sort what the assignment says by images, the units of the resampling.

    Args:
        matched (MatchedJoints): Of all units.
        annotated (sequence): The :class:`AnnotatedPoses` of every unit.
        predicted (sequence): The :class:`PredictedPoses` of the same units.
        image_ids (sequence): The image of every unit; groups of an image
            are drawn together.

    Returns:
        MpiiMatches: Images by ascending id.
    """
    names, place = np.unique(np.asarray(image_ids), return_inverse=True)
    positives = np.zeros((len(names), matched.scores.shape[1]), np.int64)
    for image, unit in zip(place, annotated, strict=True):
        positives[image] += unit.annotated.sum(0)
    sizes = [len(unit.keypoints) for unit in predicted]
    return MpiiMatches(
        image_ids=tuple(names.tolist()),
        positives=positives,
        image=np.repeat(place, sizes),
        scores=matched.scores,
        counted=matched.counted,
        correct=matched.correct,
    )


def _area(
    weights: np.ndarray, correct: np.ndarray, positives: np.ndarray
) -> np.ndarray:
    """Area under the monotonous precision (B,), 0 without annotations.

    Precision rises along the copies of a joint that is right and falls along
    those of others: the last copies of the former have all its maxima.
    """
    hits = correct.nonzero()[0]
    right = weights[:, hits]
    found = right.cumsum(1)
    seen = weights.cumsum(1)[:, hits]
    precision = found / np.maximum(seen, 1)
    precision = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
    return (right * precision).sum(1) / np.maximum(positives, 1)


def multi_person_ap(
    annotated: Sequence[AnnotatedPoses],
    predicted: Sequence[PredictedPoses],
    thr: float = 0.5,
    unannotated: str = 'ignore',
) -> dict[str, float]:
    r"""PCKh@0.5 mean average precision, by joint and in total.

    As the evaluation of MPII's multi-person toolkit, which DeepCut and
    DeeperCut introduced, does it for every unit (a group of people, or an
    image):

    1. The head size is 0.6 times the diagonal of the head box. A predicted
       joint matches an annotated one of its kind if their distance divided
       by the head size of the annotated person is at most ``thr``.
    2. The PCK of a predicted with an annotated person is the number of
       matching joints over the number of the person's annotated ones, of 14
       kinds (without pelvis and thorax).
    3. Every predicted person chooses the annotated one of the highest PCK,
       the first of equals. Of those that chose the same, the one of the
       highest PCK, the first of equals, is assigned to it, if that is above
       0. Scores have no part in this, and who isn't assigned doesn't choose
       again.
    4. A joint of an assigned person is a true positive if it matches that
       person's and else a false positive; all joints of people without an
       assignment (duplicates, false alarms) are false positives.
    5. For each of the 14 kinds: all its joints of all units by descending
       score of the joint, ties in the order of the input; the precision at
       every rank, made monotonous from the last to the first, is summed
       over the steps of the recall (the area that VOC devkit's ``VOCap``
       computes; no 11 points). The recall is relative to all annotated
       joints of the kind, also those of people nobody found.
    6. Left and right are averaged, and upper neck with head top for the
       head. The total is the mean over the 14 joints.

    Uncertain, for the toolkit was not at hand: whether a joint of an
    assigned person counts as a false positive where that person's is not
    annotated. ``unannotated='ignore'`` leaves it out; with
    ``'false_positive'`` it counts, which never gives a higher AP.

    Args:
        annotated (sequence): The :class:`AnnotatedPoses` of every unit.
        predicted (sequence): The :class:`PredictedPoses` of the same units.
        thr (float): Largest distance over head size of a match. Defaults
            to 0.5.
        unannotated (str): ``'ignore'`` or ``'false_positive'``, for joints
            that the assigned person has no annotation of. Defaults to
            'ignore'.

    Returns:
        dict[str, float]: In percent: ``'Head'``, ``'Shoulder'``,
        ``'Elbow'``, ``'Wrist'``, ``'Hip'``, ``'Knee'``, ``'Ankle'`` and
        ``'Total'``. Kinds without any annotation are left out of the means;
        a column without one is NaN.

    Raises:
        ValueError: If the units don't correspond, shapes are wrong, a number
            is not finite, a head size is not positive, or no joint is
            annotated.
    """
    matched = match_poses(annotated, predicted, thr, unannotated)
    return tabulate(average_precision(matched))


def average_precision(matched: MatchedJoints) -> np.ndarray:
    """Step 5 of :func:`multi_person_ap`.

    Args:
        matched (MatchedJoints): Labels of all predicted joints.

    Returns:
        np.ndarray: AP (14,) from 0 to 1; NaN for kinds of joints that
        nobody has annotated.

    Raises:
        ValueError: If nothing at all is annotated.
    """
    if matched.positives.sum() == 0:
        raise ValueError('no joint is annotated, so there is no recall')
    values = np.full(NUM_JOINTS, np.nan)
    for joint in matched.positives.nonzero()[0]:
        counted = matched.counted[:, joint]
        values[joint] = voc_ap(
            matched.scores[counted, joint],
            matched.correct[counted, joint],
            int(matched.positives[joint]),
        )
    return values


def voc_ap(scores: np.ndarray, correct: np.ndarray, positives: int) -> float:
    """Area under the monotonous precision over the recall, as VOC devkit.

    Args:
        scores (np.ndarray): Shape (N,).
        correct (np.ndarray): True positives, (N,), bool.
        positives (int): Number of annotations, at least 1.

    Returns:
        float: From 0 to 1.
    """
    correct = correct[np.argsort(-scores, kind='stable')]
    hits = np.cumsum(correct)
    precision = hits / np.arange(1, len(hits) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    recall = np.r_[0, hits] / positives
    # exact, so that the order of the sum doesn't matter
    return math.fsum((np.diff(recall) * precision)[correct])


def tabulate(values: np.ndarray) -> dict[str, float]:
    """Step 6 of :func:`multi_person_ap`.

    Args:
        values (np.ndarray): AP of the 14 joints, (14,), from 0 to 1; NaN
            for those without annotations.

    Returns:
        dict[str, float]: The columns and ``'Total'``, in percent.
    """
    table = {}
    for column, joints in COLUMNS.items():
        table[column] = _percent(values[[MPII14.index(j) for j in joints]])
    table['Total'] = _percent(values)
    return table


def _percent(values: np.ndarray) -> float:
    """Mean of those that are not NaN, NaN if all are."""
    values = values[~np.isnan(values)]
    return 100 * (math.fsum(values) / len(values)) if len(values) else math.nan
