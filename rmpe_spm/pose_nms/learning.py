r"""Learning the four parameters of the pose NMS: RMPE, sec. 3.2.

The paper maximises the mAP of a validation set over
:math:`\{\sigma_1, \sigma_2, \lambda, \eta\}`: "optimize two parameters at a
time by fixing the other two, in an iterative manner". It names neither the
pairs nor the grids, and no code of it was published. Here the pairs are
(lambda, eta), for which the sums over the joints stay as they are, then
(sigma1, sigma2); each plane is searched on a logarithmic grid and again on
finer ones around the values kept so far: those of the cell whose 3x3
neighbourhood has the best mean AP, where that cell raised the AP.

The authors' rules also merge poses, which the paper doesn't mention. It
changes what the best parameters are, so it can be on while learning: each
evaluation then computes the OKS of the merged poses and takes several times
as long.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..coco.ground_truth import FlatGroundTruth, PoseSet
from ..coco.keypoint_ap import KeypointAP
from .learning_problem import RANGES, PoseNMSProblem
from .rule import PoseNMSRule


@dataclass
class NMSScore:
    """What a pose NMS made of a data set.

    Attributes:
        ap, ap50, ap75 (float): COCO's AP, 0 to 1.
        num_poses (int): Poses left.
        milliseconds (float): Time of the NMS per image.
    """

    ap: float
    ap50: float
    ap75: float
    num_poses: int
    milliseconds: float


def compare_nms(
    poses: PoseSet,
    rules: Mapping[str, Callable | None],
    sigmas: np.ndarray,
) -> dict[str, NMSScore]:
    """Evaluate pose NMS rules on the same poses and their scores.

    A kept pose has the score that it came with, times what a soft rule
    makes of it; merged poses are evaluated as they are.

    Args:
        poses (PoseSet): Detected and annotated people.
        rules (dict): Components with the call interface of
            :class:`~rmpe_spm.pose_nms.base.BasePoseNMS` by name;
            None stands for no NMS.
        sigmas (np.ndarray): Of the OKS, (K,).

    Returns:
        dict[str, NMSScore]: By the same names.
    """
    people = FlatGroundTruth(poses.truths)
    found = {}
    for name, nms in rules.items():
        keypoints, scores = poses.keypoints, poses.scores
        start = time.perf_counter()
        if nms is not None:
            results = nms.batch(
                poses.keypoints,
                poses.keypoint_scores,
                poses.bboxes_xyxy,
                scores=poses.scores,
            )
            keypoints = [result.keypoints for result in results]
            scores = [result.scores for result in results]
        seconds = time.perf_counter() - start
        evaluation = KeypointAP(
            people,
            np.concatenate(keypoints),
            np.concatenate(scores),
            np.array(list(map(len, scores))),
            sigmas,
        )
        precision = evaluation.precision()
        found[name] = NMSScore(
            ap=float(precision.mean()),
            ap50=float(precision[0].mean()),
            ap75=float(precision[5].mean()),
            num_poses=sum(map(len, scores)),
            milliseconds=1e3 * seconds / len(poses.truths),
        )
    return found


PLANES = (('lambda_', 'eta'), ('sigma1', 'sigma2'))


@dataclass
class Plane:
    """The AP over a grid of two parameters.

    Attributes:
        names (tuple[str, str]): The parameters of rows and columns.
        rows, columns (np.ndarray): Their values.
        ap (np.ndarray): AP (rows, columns), NaN where the rule can't be.
        best (tuple[float, float]): The values chosen.
        best_ap (float): Their AP.
        round (int): Counted from 1.
        zoom (int): 0 for the whole range, higher for finer grids.
    """

    names: tuple[str, str]
    rows: np.ndarray
    columns: np.ndarray
    ap: np.ndarray
    best: tuple[float, float]
    best_ap: float
    round: int
    zoom: int


def learn(
    problem: PoseNMSProblem,
    cells: int = 13,
    zooms: int = 2,
    max_rounds: int = 10,
    tolerance: float = 1e-4,
    on_plane: Callable[[Plane], None] | None = None,
) -> tuple[PoseNMSRule, float]:
    """Maximise the AP by two parameters at a time.

    Args:
        problem (PoseNMSProblem): The data, and the rule to start from.
        cells (int): Cells of the grid in each direction. Defaults to 13.
        zooms (int): How often each plane is searched again around its best
            cell. Defaults to 2.
        max_rounds (int): Largest number of rounds over both planes. Defaults
            to 10.
        tolerance (float): Rounds end when none gains more AP than this.
            Defaults to 1e-4.
        on_plane (callable, optional): Called with every :class:`Plane`.
            Defaults to None.

    Returns:
        tuple: The rule and its AP, never below that of the rule to start
        from.

    Raises:
        ValueError: If no two poses are similar.
    """
    if len(problem.i) == 0:
        raise ValueError(
            'no two poses of an image are alike: there is nothing to learn '
            'from results that passed an NMS already'
        )
    values = dict(problem.start)
    best_ap = problem.evaluate(**values)
    for number in range(1, max_rounds + 1):
        before = best_ap
        for names in PLANES:
            limits = [RANGES[name] for name in names]
            for zoom in range(zooms + 1):
                plane = _search(problem, values, names, limits, cells)
                plane.round, plane.zoom = number, zoom
                if plane.best_ap > best_ap:
                    best_ap = plane.best_ap
                    values.update(zip(names, plane.best, strict=True))
                if on_plane is not None:
                    on_plane(plane)
                limits = [
                    _around(values[name], limit, RANGES[name], cells)
                    for name, limit in zip(names, limits, strict=True)
                ]
            problem.forget()
        if best_ap - before <= tolerance:
            break
    return replace(problem.rule, **values), best_ap


def cross_validate(
    poses: PoseSet,
    sigmas: np.ndarray,
    rule: PoseNMSRule,
    folds: int = 3,
    cells: int = 7,
) -> float:
    """How good a rule learned from a given start is on other images.

    Args:
        poses (PoseSet): Detected and annotated people.
        sigmas (np.ndarray): Of the OKS, (K,).
        rule (PoseNMSRule): The rule to start from.
        folds (int): In how many parts the images are cut; each is evaluated
            with what the others teach. Defaults to 3.
        cells (int): Cells of the grids, searched again once. Defaults to 7.

    Returns:
        float: Mean AP of the parts.

    Raises:
        ValueError: If there are fewer images with people than parts.
    """
    people = [int((~truth.ignored).sum()) for truth in poses.truths]
    if sum(number > 0 for number in people) < folds:
        raise ValueError(
            f'{folds} parts need as many images with annotated people'
        )
    # every part gets its share of the crowded images
    order = np.argsort(people, kind='stable')[::-1]
    part = np.empty(len(order), dtype=np.intp)
    part[order] = np.arange(len(order)) % folds
    found = []
    for fold in range(folds):
        rest, held_out = (
            PoseNMSProblem(poses.subset(np.flatnonzero(index)), sigmas, rule)
            for index in (part != fold, part == fold)
        )
        learned, _ = learn(rest, cells=cells, zooms=1, max_rounds=2)
        values = {name: getattr(learned, name) for name in RANGES}
        found.append(held_out.evaluate(**values))
    return float(np.mean(found))


def _search(
    problem: PoseNMSProblem,
    values: dict[str, float],
    names: tuple[str, str],
    limits: list[tuple[float, float]],
    cells: int,
) -> Plane:
    """The AP on a grid, and its best cell."""
    rows, columns = (np.geomspace(*limit, cells) for limit in limits)
    ap = np.array(
        [
            [
                problem.evaluate(
                    **{**values, names[0]: float(a), names[1]: float(b)}
                )
                for b in columns
            ]
            for a in rows
        ]
    )
    # the cell whose surroundings are best, not the best cell: peaks of one
    # cell are chance, and lower the AP of other images
    valid = np.pad(~np.isnan(ap), 1, mode='edge')
    padded = np.pad(np.nan_to_num(ap), 1, mode='edge') * valid
    total, number = (
        sum(array[y : y + cells, x : x + cells] for y, x in np.ndindex(3, 3))
        for array in (padded, valid.astype(int))
    )
    around = np.where(np.isnan(ap), -1.0, total / np.maximum(number, 1))
    row, column = np.unravel_index(np.argmax(around), ap.shape)
    best = float(rows[row]), float(columns[column])
    return Plane(
        names, rows, columns, ap, best, float(ap[row, column]), round=0, zoom=0
    )


def _around(
    value: float,
    limit: tuple[float, float],
    widest: tuple[float, float],
    cells: int,
) -> tuple[float, float]:
    """One cell's width to both sides of a value, in a logarithmic grid."""
    step = (limit[1] / limit[0]) ** (1 / (cells - 1))
    return max(value / step, widest[0]), min(value * step, widest[1])
