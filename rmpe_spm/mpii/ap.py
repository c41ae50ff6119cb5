"""PCKh average precision of MPII's multi-person benchmark."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike

import numpy as np

from .annotations import MPII14

NUM_JOINTS = len(MPII14)

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

# for joints that the person whom a pose is assigned to has no annotation of
UNANNOTATED = ('ignore', 'false_positive')

# resamples times predicted people at once
_CELLS = 1 << 20


@dataclass
class AnnotatedPoses:
    """The annotated people of a unit: a group or an image (G people).

    Attributes:
        keypoints (np.ndarray): Shape (G, 14, 2), in pixels.
        annotated (np.ndarray): Which joints are annotated, (G, 14), bool.
        head_sizes (np.ndarray): 0.6 x the diagonal of the head boxes,
            (G,), in pixels.
    """

    keypoints: np.ndarray
    annotated: np.ndarray
    head_sizes: np.ndarray


@dataclass
class PredictedPoses:
    """The predicted people of a unit (N people).

    Attributes:
        keypoints (np.ndarray): Shape (N, 14, 2), in pixels.
        scores (np.ndarray): Of each joint, (N, 14).
        predicted (np.ndarray, optional): Which joints are predicted,
            (N, 14), bool. Defaults to None: all.
    """

    keypoints: np.ndarray
    scores: np.ndarray
    predicted: np.ndarray | None = None


@dataclass(frozen=True)
class MpiiMatches:
    """What the assignment says of D predicted people in I images.

    Attributes:
        image_ids (tuple): The images.
        positives (np.ndarray): Number of annotated joints of each image and
            kind, (I, 14).
        image (np.ndarray): Place of every predicted person's image, (D,).
        scores (np.ndarray): Of their joints, (D, 14).
        counted (np.ndarray): Whether the joint counts, (D, 14), bool.
        correct (np.ndarray): Whether it is a true positive, (D, 14), bool.
        assigned (np.ndarray): Index of the annotated person, counted
            through all units, that each is assigned to; -1 for none, (D,).
    """

    image_ids: tuple
    positives: np.ndarray
    image: np.ndarray
    scores: np.ndarray
    counted: np.ndarray
    correct: np.ndarray
    assigned: np.ndarray

    def table(self) -> dict[str, float]:
        """Steps 5 and 6 of :func:`multi_person_ap`: the columns in percent.

        Raises:
            ValueError: If nothing at all is annotated.
        """
        positives = self.positives.sum(0)
        if positives.sum() == 0:
            raise ValueError('no joint is annotated, so there is no recall')
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
        """Write the matches to a file, ``.npz``."""
        np.savez_compressed(path, **vars(self))

    @classmethod
    def load(cls, path: str | PathLike) -> 'MpiiMatches':
        """Read what :meth:`save` has written."""
        with np.load(path, allow_pickle=False) as content:
            fields = dict(content)
        fields['image_ids'] = tuple(fields['image_ids'].tolist())
        return cls(**fields)


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
    return match_joints(annotated, predicted, thr, unannotated).table()


def match_joints(
    annotated: Sequence[AnnotatedPoses],
    predicted: Sequence[PredictedPoses],
    thr: float = 0.5,
    unannotated: str = 'ignore',
    image_ids: Sequence[int] | None = None,
) -> MpiiMatches:
    """Steps 1 to 4 of :func:`multi_person_ap`, in all units at once.

    Takes and refuses what that does, and the image of every unit: the groups
    of an image are resampled together. Without ``image_ids`` each unit is
    one.

    Returns:
        MpiiMatches: Labels of all predicted joints, images by ascending id.
    """
    if unannotated not in UNANNOTATED:
        raise ValueError(
            f'unannotated must be one of {UNANNOTATED}, not {unannotated!r}'
        )
    if len(annotated) != len(predicted):
        raise ValueError(
            f'{len(annotated)} units are annotated, but {len(predicted)} '
            'predicted'
        )
    for unit, truth in enumerate(annotated):
        _check_truth(f'annotations of unit {unit}', truth)
    for unit, poses in enumerate(predicted):
        check_poses(f'predictions of unit {unit}', poses)
    no_points, no_joints = np.zeros((0, 14, 2)), np.zeros((0, 14))
    people = np.concatenate([no_points, *(t.keypoints for t in annotated)])
    labelled = np.concatenate([no_joints, *(t.annotated for t in annotated)])
    labelled = labelled > 0
    heads = np.concatenate([np.zeros(0), *(t.head_sizes for t in annotated)])
    points = np.concatenate([no_points, *(p.keypoints for p in predicted)])
    scores = np.concatenate([no_joints, *(p.scores for p in predicted)])
    present = np.concatenate([no_joints, *map(_present, predicted)]) > 0
    num_people = np.array([len(t.head_sizes) for t in annotated], np.intp)
    num_poses = np.array([len(p.scores) for p in predicted], np.intp)

    pose, person = _pairs(num_poses, num_people)
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
    if image_ids is None:
        image_ids = range(len(annotated))
    names, place = np.unique(np.asarray(image_ids), return_inverse=True)
    positives = np.zeros((len(names), NUM_JOINTS), dtype=np.int64)
    np.add.at(positives, np.repeat(place, num_people), labelled)
    image = np.repeat(place, num_poses)
    ids = tuple(names.tolist())
    return MpiiMatches(
        ids, positives, image, scores, counted, correct, assigned
    )


def _present(poses: PredictedPoses) -> np.ndarray:
    """Which joints are predicted, (N, 14)."""
    if poses.predicted is None:
        return np.ones(poses.scores.shape)
    return poses.predicted


def _pairs(
    num_poses: np.ndarray, num_people: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of a pose and a person of the same unit, by pose."""
    of_pose = np.repeat(num_people, num_poses)
    pose = np.repeat(np.arange(len(of_pose)), of_pose)
    starts = np.cumsum(of_pose) - of_pose
    first = np.repeat(np.cumsum(num_people) - num_people, num_poses)
    return pose, np.arange(len(pose)) + (first - starts)[pose]


def _best_in_group(
    group: np.ndarray, value: np.ndarray, tie: np.ndarray
) -> np.ndarray:
    """Index of each group's highest value, of equals that of lowest tie."""
    order = np.lexsort((tie, -value, group))
    first = np.ones(len(order), dtype=bool)
    first[1:] = np.diff(group[order]) > 0
    return order[first]


def voc_ap(scores: np.ndarray, correct: np.ndarray, positives: int) -> float:
    """Area under the monotonous precision over the recall, as VOC devkit.

    Of N joints with their scores, true positives (bool) among them, and the
    number of annotated ones, at least 1.
    """
    correct = correct[np.argsort(-scores, kind='stable')]
    hits = np.cumsum(correct)
    precision = hits / np.arange(1, len(hits) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    recall = np.r_[0, hits] / positives
    # exact, so that the order of the sum doesn't matter
    return math.fsum((np.diff(recall) * precision)[correct])


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


def _check_truth(where: str, truth: AnnotatedPoses) -> None:
    """Refuse annotations that can't be evaluated."""
    people = len(truth.head_sizes)
    _check_shape(where, 'keypoints', truth.keypoints, (people, 14, 2))
    _check_shape(where, 'annotated', truth.annotated, (people, 14))
    sizes = truth.head_sizes
    bad = truth.annotated.any(1) & ~(np.isfinite(sizes) & (sizes > 0))
    if bad.any():
        person = int(bad.argmax())
        raise ValueError(
            f'{where}: person {person} has the head size {sizes[person]}; '
            'PCKh needs the head box of everybody with annotated joints'
        )
    bad = truth.annotated & ~np.isfinite(truth.keypoints).all(-1)
    if bad.any():
        person, joint = np.argwhere(bad)[0]
        raise ValueError(
            f'{where}: person {person} has its {MPII14[joint]} at '
            f'{truth.keypoints[person, joint].tolist()}'
        )


def check_poses(where: str, poses: PredictedPoses) -> None:
    """Refuse predictions that can't be evaluated; ``where`` they are."""
    people = len(poses.keypoints)
    _check_shape(where, 'keypoints', poses.keypoints, (people, 14, 2))
    _check_shape(where, 'scores', poses.scores, (people, 14))
    present = _present(poses)
    _check_shape(where, 'predicted', present, (people, 14))
    bad = ~np.isfinite(poses.keypoints).all(-1) | ~np.isfinite(poses.scores)
    bad &= present > 0
    if bad.any():
        person, joint = np.argwhere(bad)[0]
        raise ValueError(
            f'{where}: person {person} has its {MPII14[joint]} at '
            f'{poses.keypoints[person, joint].tolist()} with the score '
            f'{poses.scores[person, joint]}'
        )


def _check_shape(
    where: str, name: str, array: np.ndarray, shape: tuple[int, ...]
) -> None:
    """Refuse an array of another shape."""
    if array.shape != shape:
        raise ValueError(
            f'{where}: {name} have the shape {array.shape}, but must have '
            f'{shape}'
        )
