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

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import lru_cache

import numpy as np

from ..coco.ground_truth import FlatGroundTruth, PoseSet
from ..coco.keypoint_ap import KeypointAP
from .base import flatten_poses
from .greedy import group_clusters
from .parametric import ParametricPoseNMS
from .rule import PoseNMSRule
from .similarity import PoseSimilarity

# where the parameters are looked for
RANGES = dict(
    lambda_=(0.05, 8.0),
    eta=(0.05, 4.0),
    sigma1=(0.003, 10.0),
    sigma2=(0.1, 30.0),
)
PLANES = (('lambda_', 'eta'), ('sigma1', 'sigma2'))


class PoseNMSProblem:
    """AP after NMS as a function of the four parameters of a rule.

    What does not depend on them is computed once.
    """

    def __init__(
        self, poses: PoseSet, sigmas: np.ndarray, rule: PoseNMSRule
    ) -> None:
        self.rule, self.sigmas = rule, sigmas
        self.people = FlatGroundTruth(poses.truths)
        batch = flatten_poses(
            poses.keypoints,
            poses.keypoint_scores,
            poses.bboxes_xyxy,
            scores=poses.scores,
        )
        nms = ParametricPoseNMS(**asdict(rule))
        self.poses = batch.ranked(nms.confidence(batch))
        self.ap = KeypointAP(
            self.people,
            self.poses.keypoints,
            self.poses.person_scores,
            self.poses.sizes,
            sigmas,
        )
        self.similarity = PoseSimilarity(self.poses, rule)
        self.i, self.j = self._similar_pairs()
        self.squared, self.inside = self.similarity.compare(self.i, self.j)
        self.match = np.zeros(len(self.i), dtype=bool)
        if rule.match_fraction is not None:
            self.match = self.similarity.matches(self.squared, self.i, self.j)
        self._k_sim = lru_cache(32)(self._k_sim)
        self._h_sim = lru_cache(32)(self._h_sim)

    def _similar_pairs(self) -> np.ndarray:
        """All pairs that any parameters can make redundant, (2, P)."""
        loosest = dict(sigma1=0, sigma2=1, lambda_=1, eta=0)
        loosest = {name: RANGES[name][end] for name, end in loosest.items()}
        rule = replace(self.rule, **loosest)
        similarity = PoseSimilarity(self.poses, rule)
        found, start = [np.zeros((2, 0), dtype=np.intp)], 0
        for size in self.poses.sizes.tolist():
            pairs = np.stack(np.triu_indices(size, 1)) + start
            found.append(pairs[:, similarity.redundant(*pairs)])
            start += size
        return np.concatenate(found, axis=1)

    def _k_sim(self, sigma1: float) -> np.ndarray:
        """K_Sim of all pairs, (P,)."""
        softness = self.similarity.soften(sigma1)
        return (self.inside * softness[self.i] * softness[self.j]).sum(1)

    def _h_sim(self, sigma2: float) -> np.ndarray:
        """H_Sim of all pairs, (P,)."""
        return self.similarity.h_sim(self.squared, self.i, sigma2)

    def suppressed_by(
        self, sigma1: float, sigma2: float, lambda_: float, eta: float
    ) -> np.ndarray:
        """Which pose suppresses each of ``poses``, (T,), or its own index."""
        similarity = self._k_sim(sigma1) + lambda_ * self._h_sim(sigma2)
        needed = eta * self.similarity.num_joints[self.j]
        redundant = (similarity >= needed) | self.match
        i, j = self.i[redundant], self.j[redundant]
        active = np.ones(len(self.poses.keypoints), dtype=bool)
        # what the k best poses of an image suppress is right after k steps
        while True:
            after = np.ones_like(active)
            after[j[active[i]]] = False
            if (after == active).all():
                break
            active = after
        suppressed_by = np.arange(len(active))
        i, j = i[active[i]], j[active[i]]
        # references ascend, so that the best one is written last
        suppressed_by[j[::-1]] = i[::-1]
        return suppressed_by

    def evaluate(self, **changes: float) -> float:
        """COCO's AP after NMS, NaN for an eta that no similarity reaches."""
        values = {name: getattr(self.rule, name) for name in RANGES}
        values.update(changes)
        if values['eta'] > 1 + values['lambda_']:
            return float('nan')
        suppressed_by = self.suppressed_by(**values)
        kept, members, sizes = group_clusters(suppressed_by)
        if self.rule.merge is None:
            return self.ap(kept)
        merged, _ = self.similarity.merge(members, sizes)
        number = len(self.poses.sizes)
        return KeypointAP(
            self.people,
            merged,
            self.poses.person_scores[kept],
            np.bincount(self.poses.images[kept], minlength=number),
            self.sigmas,
        )()


@dataclass
class Plane:
    """The AP over a grid of two parameters."""

    names: tuple[str, str]  # of rows and columns
    rows: np.ndarray
    columns: np.ndarray
    ap: np.ndarray  # (rows, columns), NaN where the rule can't be
    best: tuple[float, float]  # the values chosen
    best_ap: float
    round: int = 0  # counted from 1
    zoom: int = 0  # 0 for the whole range, higher for finer grids


def learn(
    problem: PoseNMSProblem,
    cells: int = 13,
    zooms: int = 2,
    max_rounds: int = 10,
    on_plane: Callable[[Plane], None] | None = None,
) -> tuple[PoseNMSRule, float]:
    """Maximise the AP by two parameters at a time, on grids.

    Each plane is searched again ``zooms`` times around its best cell; rounds
    over both planes end when one gains no more AP than 0.0001. Returns the
    rule and its AP, at least that of the rule to start from.
    """
    if len(problem.i) == 0:
        raise ValueError(
            'no two poses of an image are alike: there is nothing to learn '
            'from results that passed an NMS already'
        )
    values = {name: getattr(problem.rule, name) for name in RANGES}
    best_ap = problem.evaluate()
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
        if best_ap - before <= 1e-4:
            break
    return replace(problem.rule, **values), best_ap


def _search(
    problem: PoseNMSProblem,
    values: dict[str, float],
    names: tuple[str, str],
    limits: list[tuple[float, float]],
    cells: int,
) -> Plane:
    """The AP on a grid, and the cell whose surroundings are best.

    Peaks of one cell are chance, and lower the AP of other images.
    """
    rows, columns = (np.geomspace(*limit, cells) for limit in limits)
    ap = np.empty((cells, cells))
    for cell in np.ndindex(ap.shape):
        pair = float(rows[cell[0]]), float(columns[cell[1]])
        changes = dict(zip(names, pair, strict=True))
        ap[cell] = problem.evaluate(**{**values, **changes})
    valid = np.pad(~np.isnan(ap), 1, mode='edge')
    padded = np.pad(np.nan_to_num(ap), 1, mode='edge') * valid
    total, number = (
        sum(array[y : y + cells, x : x + cells] for y, x in np.ndindex(3, 3))
        for array in (padded, valid.astype(int))
    )
    around = np.where(np.isnan(ap), -1.0, total / np.maximum(number, 1))
    row, column = np.unravel_index(np.argmax(around), ap.shape)
    best = float(rows[row]), float(columns[column])
    return Plane(names, rows, columns, ap, best, float(ap[row, column]))


def _around(
    value: float,
    limit: tuple[float, float],
    widest: tuple[float, float],
    cells: int,
) -> tuple[float, float]:
    """One cell's width to both sides of a value, in a logarithmic grid."""
    step = (limit[1] / limit[0]) ** (1 / (cells - 1))
    return max(value / step, widest[0]), min(value * step, widest[1])


def cross_validate(
    poses: PoseSet,
    sigmas: np.ndarray,
    rule: PoseNMSRule,
    folds: int = 3,
    cells: int = 7,
) -> float:
    """How good a rule learned from a given start is on other images.

    The mean AP of ``folds`` parts, each with what the others teach.
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
