"""PCKh average precision of MPII's multi-person benchmark."""

import math
from dataclasses import dataclass, replace
from os import PathLike

import numpy as np

from .annotations import MPII14

# columns of the published tables, with the joints of each in MPII14
COLUMNS = {
    'Head': ('upper_neck', 'head_top'),
    'Shoulder': ('right_shoulder', 'left_shoulder'),
    'Elbow': ('right_elbow', 'left_elbow'),
    'Wrist': ('right_wrist', 'left_wrist'),
    'Hip': ('right_hip', 'left_hip'),
    'Knee': ('right_knee', 'left_knee'),
    'Ankle': ('right_ankle', 'left_ankle'),
}

# resamples times predicted people at once
_CELLS = 1 << 20


@dataclass(frozen=True)
class MpiiMatches:
    """What the assignment says of D predicted people in I images.

    ``assigned`` is the annotated person, counted through all units, that each
    predicted one is assigned to; -1 for none.
    """

    image_ids: tuple
    positives: np.ndarray  # annotated joints of each image and kind, (I, 14)
    image: np.ndarray  # place of every predicted person's image, (D,)
    scores: np.ndarray  # of the joints, (D, 14)
    counted: np.ndarray  # whether the joint counts, (D, 14), bool
    correct: np.ndarray  # whether it is a true positive, (D, 14), bool
    assigned: np.ndarray  # (D,)

    def table(self) -> dict[str, float]:
        """AP in percent of :data:`COLUMNS` and ``'Total'``.

        Steps 5 and 6 of :func:`~rmpe_spm.mpii.matching.match_joints`. Kinds
        without any annotation are left out of the means; a column without
        one is NaN.
        """
        positives = self.positives.sum(0)
        values = {}
        for joint in positives.nonzero()[0].tolist():
            counted = self.counted[:, joint]
            values[MPII14[joint]] = voc_ap(
                self.scores[counted, joint],
                self.correct[counted, joint],
                int(positives[joint]),
            )
        table = {}
        for column, joints in {**COLUMNS, 'Total': MPII14}.items():
            known = [values[joint] for joint in joints if joint in values]
            mean = math.fsum(known) / len(known) if known else math.nan
            table[column] = 100 * mean
        return table

    def ap(self, counts: np.ndarray | None = None) -> np.ndarray:
        """Mean AP (B,) with every image counted so many times, in percent.

        It is that of evaluating a data set with the copies of the images:
        ``counts`` (B, I), int, of each resample; None counts every image
        once. Joints of the same score count one after another, each with all
        its copies. NaN where no joint is annotated.
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

    def of_column(self, column: str) -> 'MpiiMatches':
        """The matches of a column's joints alone, whose :meth:`ap` it is."""
        kinds = [MPII14.index(joint) for joint in COLUMNS.get(column, MPII14)]
        names = ('positives', 'scores', 'counted', 'correct')
        return replace(
            self, **{name: getattr(self, name)[:, kinds] for name in names}
        )

    def save(self, path: str | PathLike) -> None:
        """Write the matches to a file, ``.npz``."""
        np.savez_compressed(path, **vars(self))

    @classmethod
    def load(cls, path: str | PathLike) -> 'MpiiMatches':
        """Read what :meth:`save` has written."""
        with np.load(path, allow_pickle=False) as content:
            fields = dict(content)
        fields['image_ids'] = tuple(fields['image_ids'].tolist())
        return cls(**fields)


def voc_ap(scores: np.ndarray, correct: np.ndarray, positives: int) -> float:
    """Area under the monotonous precision over the recall, as VOC devkit."""
    ranks = correct[np.argsort(-scores, kind='stable')].nonzero()[0] + 1
    hits = np.arange(len(ranks) + 1)
    precision = np.maximum.accumulate((hits[1:] / ranks)[::-1])[::-1]
    # exact, so that the order of the sum doesn't matter
    return math.fsum(np.diff(hits / positives) * precision)


def _area(
    weights: np.ndarray, correct: np.ndarray, positives: np.ndarray
) -> np.ndarray:
    """Area under the monotonous precision (B,), 0 without annotations.

    Precision rises along the copies of a joint that is right and falls along
    those of others: the last copies of the former have all its maxima.
    """
    hits = correct.nonzero()[0]
    right = weights[:, hits]
    true_positives = right.cumsum(1)
    seen = weights.cumsum(1)[:, hits]
    precision = true_positives / np.maximum(seen, 1)
    precision = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
    return (right * precision).sum(1) / np.maximum(positives, 1)
