"""Which predicted joints MPII's multi-person benchmark counts as correct."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .annotations import MPII14

NUM_JOINTS = len(MPII14)
_UNANNOTATED = ('ignore', 'false_positive')


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


@dataclass
class MatchedJoints:
    """What the assignment says of every predicted joint (N in all units).

    Attributes:
        scores (np.ndarray): Shape (N, 14).
        counted (np.ndarray): Whether the joint counts, (N, 14), bool.
        correct (np.ndarray): Whether it is a true positive, (N, 14), bool.
        assigned (np.ndarray): Index of the annotated person, counted
            through all units, that each predicted one is assigned to; -1
            for none, (N,).
        positives (np.ndarray): Number of annotated joints of each kind,
            (14,).
    """

    scores: np.ndarray
    counted: np.ndarray
    correct: np.ndarray
    assigned: np.ndarray
    positives: np.ndarray


def match_poses(
    annotated: Sequence[AnnotatedPoses],
    predicted: Sequence[PredictedPoses],
    thr: float = 0.5,
    unannotated: str = 'ignore',
) -> MatchedJoints:
    """Assign predicted to annotated people, in all units at once.

    Steps 1 to 4 of :func:`~.mpii_ap.multi_person_ap`.

    Args:
        annotated (sequence): As there.
        predicted (sequence): As there.
        thr (float): As there. Defaults to 0.5.
        unannotated (str): As there. Defaults to 'ignore'.

    Returns:
        MatchedJoints: Labels of all predicted joints.

    Raises:
        ValueError: As there.
    """
    if unannotated not in _UNANNOTATED:
        raise ValueError(
            f'unannotated must be one of {_UNANNOTATED}, not {unannotated!r}'
        )
    if len(annotated) != len(predicted):
        raise ValueError(
            f'{len(annotated)} units are annotated, but {len(predicted)} '
            'predicted'
        )
    for index, (truth, poses) in enumerate(
        zip(annotated, predicted, strict=True)
    ):
        _check_truth(index, truth)
        _check_poses(index, poses)
    no_points = np.zeros((0, NUM_JOINTS, 2))
    no_joints = np.zeros((0, NUM_JOINTS))
    true_points = np.concatenate(
        [no_points, *(t.keypoints for t in annotated)]
    )
    labelled = np.concatenate([no_joints, *(t.annotated for t in annotated)])
    labelled = labelled > 0
    heads = np.concatenate([np.zeros(0), *(t.head_sizes for t in annotated)])
    points = np.concatenate([no_points, *(p.keypoints for p in predicted)])
    scores = np.concatenate([no_joints, *(p.scores for p in predicted)])
    present = np.concatenate(
        [
            no_joints,
            *(
                np.ones(p.scores.shape) if p.predicted is None else p.predicted
                for p in predicted
            ),
        ]
    )
    present = present > 0

    pose, person = _pairs(
        np.array([len(p.scores) for p in predicted], np.intp),
        np.array([len(t.head_sizes) for t in annotated], np.intp),
    )
    offset = points[pose] - true_points[person]
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
    return MatchedJoints(scores, counted, correct, assigned, labelled.sum(0))


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


def _check_truth(unit: int, truth: AnnotatedPoses) -> None:
    """Refuse annotations that can't be evaluated."""
    people = len(truth.head_sizes)
    _check_shapes(
        f'annotations of unit {unit}',
        people,
        keypoints=truth.keypoints,
        annotated=truth.annotated,
    )
    counts = truth.annotated.any(1)
    bad = counts & ~(np.isfinite(truth.head_sizes) & (truth.head_sizes > 0))
    if bad.any():
        person = int(bad.argmax())
        raise ValueError(
            f'annotations of unit {unit}: person {person} has the head size '
            f'{truth.head_sizes[person]}; PCKh needs the head box of '
            'everybody with annotated joints'
        )
    bad = truth.annotated & ~np.isfinite(truth.keypoints).all(-1)
    if bad.any():
        person, joint = np.argwhere(bad)[0]
        raise ValueError(
            f'annotations of unit {unit}: person {person} has its '
            f'{MPII14[joint]} at {truth.keypoints[person, joint].tolist()}'
        )


def _check_poses(unit: int, poses: PredictedPoses) -> None:
    """Refuse predictions that can't be evaluated."""
    where = f'predictions of unit {unit}'
    arrays = dict(keypoints=poses.keypoints, scores=poses.scores)
    if poses.predicted is not None:
        arrays['predicted'] = poses.predicted
    _check_shapes(where, len(poses.keypoints), **arrays)
    bad = ~np.isfinite(poses.keypoints).all(-1) | ~np.isfinite(poses.scores)
    if poses.predicted is not None:
        bad &= poses.predicted
    if bad.any():
        person, joint = np.argwhere(bad)[0]
        raise ValueError(
            f'{where}: person {person} has its {MPII14[joint]} at '
            f'{poses.keypoints[person, joint].tolist()} with the score '
            f'{poses.scores[person, joint]}'
        )


def _check_shapes(where: str, people: int, **arrays: np.ndarray) -> None:
    """Refuse arrays of other shapes than (people, 14) or (.., 14, 2)."""
    for name, array in arrays.items():
        shape = (people, NUM_JOINTS) + (2,) * (name == 'keypoints')
        if array.shape != shape:
            raise ValueError(
                f'{where}: {name} have the shape {array.shape}, but must '
                f'have {shape}'
            )
