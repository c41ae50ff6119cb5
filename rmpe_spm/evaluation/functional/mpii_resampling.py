"""MPII's multi-person AP of any resample of the images."""

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike

import numpy as np

from .mpii_matching import AnnotatedPoses, MatchedJoints, PredictedPoses

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
