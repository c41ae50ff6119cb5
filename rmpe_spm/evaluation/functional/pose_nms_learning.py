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
from dataclasses import dataclass, replace

import numpy as np

from .annotated_people import AnnotatedPeople
from .coco_poses import PoseSet
from .keypoint_ap import KeypointAP
from .pose_merging import merge_poses
from .pose_nms_rule import PoseNMSRule
from .pose_similarity import (
    SCORE_FLOOR,
    PoseTerms,
    clean_scores,
    pair_similarity,
    pose_terms,
)

PLANES = (('lambda_', 'eta'), ('sigma1', 'sigma2'))
RANGES = dict(
    lambda_=(0.05, 8.0),
    eta=(0.05, 4.0),
    sigma1=(0.003, 10.0),
    sigma2=(0.1, 30.0),
)


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


class PoseNMSProblem:
    """AP after NMS as a function of the four parameters.

    Everything else of the rule is fixed. The joint distances of poses from
    one another are computed once. Without merging the NMS only chooses
    among poses, and their OKS with the annotations is computed once, too.

    Args:
        poses (PoseSet): Detected and annotated people.
        sigmas (np.ndarray): Of the OKS, (K,).
        rule (PoseNMSRule): What is fixed of the rule.
    """

    def __init__(
        self, poses: PoseSet, sigmas: np.ndarray, rule: PoseNMSRule
    ) -> None:
        self.rule = rule
        self.sigmas = sigmas
        self.people = AnnotatedPeople(poses.truths)
        keypoints = np.concatenate(poses.keypoints)
        person_scores = np.concatenate(poses.scores)
        sizes = np.array([len(image) for image in poses.scores])
        self.ap = KeypointAP(
            self.people, keypoints, person_scores, sizes, sigmas
        )
        scores = clean_scores(np.concatenate(poses.keypoint_scores))
        if rule.rank_by == 'keypoint':
            confidence = scores.sum(1) / scores.shape[1]
        else:
            confidence = person_scores
        self.images = np.repeat(np.arange(len(sizes)), sizes)
        self.order = np.lexsort((-confidence, self.images))
        self.keypoints = keypoints[self.order]
        self.scores = scores[self.order]
        self.person_scores = person_scores[self.order]
        terms = pose_terms(
            self.keypoints,
            self.scores,
            np.concatenate(poses.bboxes_xyxy)[self.order],
            rule,
        )
        self.terms = terms
        self._cache_pairs(terms, sizes)
        self.k_sims: dict[float, np.ndarray] = {}
        self.h_sims: dict[float, np.ndarray] = {}

    def _cache_pairs(self, terms: PoseTerms, sizes: np.ndarray) -> None:
        """Distances of all pairs that any parameters can make redundant."""
        loosest = replace(
            self.rule,
            sigma1=RANGES['sigma1'][0],
            sigma2=RANGES['sigma2'][1],
            lambda_=RANGES['lambda_'][1],
            eta=RANGES['eta'][0],
        )
        found = []
        start = 0
        for size in sizes.tolist():
            i, j = np.triu_indices(size, 1)
            i, j = i + start, j + start
            start += size
            k_sim, h_sim, squared = pair_similarity(terms, i, j, loosest)
            known = terms.num_joints[j]
            limit = np.minimum(terms.reference[i], self.rule.match_cap)
            matches = (squared <= limit[:, None] ** 2).sum(1)
            match = np.zeros(len(i), dtype=bool)
            if self.rule.match_fraction is not None:
                match = matches >= self.rule.match_fraction * known - 1e-9
            similarity = k_sim + loosest.lambda_ * h_sim
            wanted = (similarity >= loosest.eta * known) | match
            wanted &= known > 0
            if wanted.any():
                i, j = i[wanted], j[wanted]
                found.append((i, j, squared[wanted], match[wanted]))
        if not found:
            none = np.zeros(0, dtype=np.intp)
            found = [(none, none, np.zeros((0, terms.x.shape[1])), none > 0)]
        self.i, self.j, squared, self.match = map(
            np.concatenate, zip(*found, strict=True)
        )
        unit = np.ones((len(self.i), 1))
        if self.rule.distance_unit == 'box':
            unit = terms.reference[self.i][:, None]
        self.distance = np.sqrt(squared) / unit
        self.inside = self._inside(terms, squared, unit)

    def _inside(
        self, terms: PoseTerms, squared: np.ndarray, unit: np.ndarray
    ) -> np.ndarray:
        """Whether the candidate's joints are in the box of the reference's."""
        if self.rule.box_shape == 'circle':
            return squared <= unit * unit
        half = terms.half_sides[self.i][:, :, None]
        dx = abs(terms.x[self.j] - terms.x[self.i])
        dy = abs(terms.y[self.j] - terms.y[self.i])
        return (dx <= half[:, 0]) & (dy <= half[:, 1])

    def k_sim(self, sigma1: float) -> np.ndarray:
        """K_Sim of all pairs, (P,)."""
        if sigma1 not in self.k_sims:
            scores = np.where(self.scores > 0, self.scores, SCORE_FLOOR)
            softness = np.tanh(scores / sigma1)
            self.k_sims[sigma1] = (
                self.inside * softness[self.i] * softness[self.j]
            ).sum(1)
        return self.k_sims[sigma1]

    def h_sim(self, sigma2: float) -> np.ndarray:
        """H_Sim of all pairs, (P,)."""
        if sigma2 not in self.h_sims:
            power = 2 if self.rule.kernel == 'gaussian' else 1
            self.h_sims[sigma2] = np.exp(-(self.distance**power) / sigma2).sum(
                1
            )
        return self.h_sims[sigma2]

    def owners(
        self, sigma1: float, sigma2: float, lambda_: float, eta: float
    ) -> np.ndarray:
        """Which pose eliminates each, (T,), both counted as in ``order``."""
        similarity = self.k_sim(sigma1) + lambda_ * self.h_sim(sigma2)
        redundant = similarity >= eta * self.terms.num_joints[self.j]
        redundant |= self.match
        i, j = self.i[redundant], self.j[redundant]
        alive = np.ones(len(self.order), dtype=bool)
        # what the k best poses of an image eliminate is right after k steps
        while True:
            after = np.ones_like(alive)
            after[j[alive[i]]] = False
            if (after == alive).all():
                break
            alive = after
        owners = np.arange(len(alive))
        i, j = i[alive[i]], j[alive[i]]
        # references ascend, so that the best one is written last
        owners[j[::-1]] = i[::-1]
        return owners

    def evaluate(
        self, sigma1: float, sigma2: float, lambda_: float, eta: float
    ) -> float:
        """AP after NMS; NaN for an eta that no similarity reaches."""
        if eta > 1 + lambda_:
            return float('nan')
        owners = self.owners(sigma1, sigma2, lambda_, eta)
        kept = owners == np.arange(len(owners))
        if self.rule.merge is None:
            in_input = np.empty_like(kept)
            in_input[self.order] = kept
            return self.ap(in_input)
        members = np.argsort((np.cumsum(kept) - 1)[owners], kind='stable')
        merged, _ = merge_poses(
            self.keypoints,
            self.scores,
            self.terms,
            members,
            np.bincount(owners, minlength=len(owners))[kept],
            self.rule,
        )
        images = self.images[kept]
        sizes = np.bincount(images, minlength=len(self.people.counts))
        return KeypointAP(
            self.people, merged, self.person_scores[kept], sizes, self.sigmas
        )()

    @property
    def start(self) -> dict[str, float]:
        """The four parameters of the rule given."""
        return {name: getattr(self.rule, name) for name in RANGES}

    def forget(self) -> None:
        """Drop the similarities kept for parameters seen so far."""
        self.k_sims.clear()
        self.h_sims.clear()


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
