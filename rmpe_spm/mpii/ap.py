"""PCKh average precision of MPII's multi-person benchmark."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike

import numpy as np

from ..coco.ground_truth import pairs_within
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

# what becomes of a predicted joint that the assigned person lacks
UNANNOTATED = ('false_positive', 'ignore')
# whether the annotated joints of units without any prediction count
EMPTY_UNITS = ('count', 'toolkit')

# resamples times predicted people at once
_CELLS = 1 << 20


@dataclass
class AnnotatedPoses:
    """The annotated people of a unit, with ``head_sizes`` (G,)."""

    keypoints: np.ndarray  # (G, 14, 2), in pixels
    annotated: np.ndarray  # (G, 14), bool
    head_sizes: np.ndarray  # (G,), in pixels


@dataclass
class PredictedPoses:
    """The predicted people of a unit (N people)."""

    keypoints: np.ndarray  # (N, 14, 2), in pixels
    scores: np.ndarray  # of each joint, (N, 14)
    predicted: np.ndarray | None = None  # which joints are, (N, 14); None: all

    def __post_init__(self) -> None:
        if self.predicted is None:
            self.predicted = np.ones(self.scores.shape, dtype=bool)


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

        Steps 5 and 6 of :func:`match_joints`. Kinds
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


def check_options(unannotated: str, empty_units: str) -> None:
    """Refuse unknown names."""
    for name, value, known in (
        ('unannotated', unannotated, UNANNOTATED),
        ('empty_units', empty_units, EMPTY_UNITS),
    ):
        if value not in known:
            raise ValueError(f'{name} {value!r} is not one of {known}')


def match_joints(
    annotated: Sequence[AnnotatedPoses],
    predicted: Sequence[PredictedPoses],
    thr: float = 0.5,
    *,
    unannotated: str = 'false_positive',
    empty_units: str = 'count',
    image_ids: Sequence[int] | None = None,
) -> MpiiMatches:
    """Assign predicted to annotated people, and label all their joints.

    PCKh@0.5 mean average precision as the toolkit of MPII's multi-person
    benchmark, which DeepCut and DeeperCut introduced, does it for every unit
    (a group of people, or an image):

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
       person's and else a false positive, also where that person lacks it;
       all joints of people without an assignment (duplicates, false alarms)
       are false positives.

    :meth:`MpiiMatches.table` makes AP of them:

    5. For each of the 14 kinds: all its joints of all units by descending
       score of the joint, ties in the order of the input; the precision at
       every rank, made monotonous from the last to the first, is summed
       over the steps of the recall (the area that VOC devkit's ``VOCap``
       computes; no 11 points). The recall is relative to all annotated
       joints of the kind, also those of people nobody found.
    6. Left and right are averaged, and upper neck with head top for the
       head. The total is the mean over the 14 joints.

    In one thing the toolkit differs: in step 5 it leaves out the annotated
    joints of units without any predicted person, so that to find nobody may
    pay. Here they count, as in PoseTrack's evaluation, but with
    ``empty_units='toolkit'``. ``unannotated='ignore'`` leaves out predicted
    joints that the assigned person lacks. Groups of one of the ``image_ids``
    are resampled together.

    Raises:
        ValueError: If an option is unknown, the numbers of units differ, or
            no joint is annotated.
    """
    check_options(unannotated, empty_units)
    if len(annotated) != len(predicted):
        raise ValueError(
            f'{len(annotated)} units are annotated, but {len(predicted)} '
            'predicted'
        )
    people = _join([truth.keypoints for truth in annotated], 14, 2)
    labelled = _join([truth.annotated for truth in annotated], 14) > 0
    heads = _join([truth.head_sizes for truth in annotated])
    points = _join([poses.keypoints for poses in predicted], 14, 2)
    scores = _join([poses.scores for poses in predicted], 14)
    present = _join([poses.predicted for poses in predicted], 14) > 0
    num_people = np.array([len(t.head_sizes) for t in annotated], np.intp)
    num_poses = np.array([len(p.scores) for p in predicted], np.intp)
    if not labelled.any():
        raise ValueError('no joint is annotated, so there is no recall')

    pose, person = pairs_within(num_poses, num_people)
    offset = points[pose] - people[person]
    distance = np.sqrt(offset[..., 0] ** 2 + offset[..., 1] ** 2)
    # people without annotated joints may lack a head box
    with np.errstate(invalid='ignore'):
        near = distance / heads[person, None] <= thr
    near &= labelled[person] & present[pose]
    pck = near.sum(1) / np.maximum(labelled.sum(1), 1)[person]

    chosen = _best_in_group(pose, pck, person)
    chosen = chosen[_best_in_group(person[chosen], pck[chosen], pose[chosen])]
    chosen = chosen[pck[chosen] > 0]
    assigned = np.full(len(points), -1, dtype=np.intp)
    assigned[pose[chosen]] = person[chosen]
    correct = np.zeros(present.shape, dtype=bool)
    correct[pose[chosen]] = near[chosen]
    counted = present.copy()
    if unannotated == 'ignore':
        counted[pose[chosen]] &= labelled[person[chosen]]
    if empty_units == 'toolkit':
        labelled[np.repeat(num_poses == 0, num_people)] = False
    if image_ids is None:
        image_ids = range(len(annotated))
    names, place = np.unique(np.asarray(image_ids), return_inverse=True)
    positives = np.zeros((len(names), len(MPII14)), dtype=np.int64)
    np.add.at(positives, np.repeat(place, num_people), labelled)
    ids, image = tuple(names.tolist()), np.repeat(place, num_poses)
    labels = scores, counted, correct, assigned
    return MpiiMatches(ids, positives, image, *labels)


def voc_ap(scores: np.ndarray, correct: np.ndarray, positives: int) -> float:
    """Area under the monotonous precision over the recall, as VOC devkit."""
    ranks = correct[np.argsort(-scores, kind='stable')].nonzero()[0] + 1
    hits = np.arange(len(ranks) + 1)
    precision = np.maximum.accumulate((hits[1:] / ranks)[::-1])[::-1]
    # exact, so that the order of the sum doesn't matter
    return math.fsum(np.diff(hits / positives) * precision)


def _join(arrays: list[np.ndarray], *shape: int) -> np.ndarray:
    """All units' people in one array (people, ...)."""
    return np.concatenate([np.zeros((0, *shape)), *arrays])


def _best_in_group(
    group: np.ndarray, value: np.ndarray, tie: np.ndarray
) -> np.ndarray:
    """Index of each group's highest value, of equals that of lowest tie."""
    order = np.lexsort((tie, -value, group))
    first = np.ones(len(order), dtype=bool)
    first[1:] = np.diff(group[order]) > 0
    return order[first]


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
