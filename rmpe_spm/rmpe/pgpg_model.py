r"""The fitted model of PGPG: how a detector's boxes lie around which pose.

The paper's :math:`P(\delta B | atom(P))` (section 3.3): an annotated pose
is aligned by its torso and looked up among *atoms*, the atomic poses, and each
atom has a distribution of the *offsets* of the four sides of a detected box
from the annotated one. Boxes that are drawn from it are *proposals*
(:mod:`.proposals`). Its file is :mod:`.pgpg_model_file`.
"""

import bisect
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# A torso seen from its end has hardly any length in the image; the pose
# divided by it would be noise.
MIN_TORSO_TO_EXTENT = 0.1


def torso_joints(
    keypoint_names: list[str],
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Find the indices of the shoulders and of the hips by the joints' names.

    Raises:
        ValueError: If ``left_shoulder``, ``right_shoulder``, ``left_hip`` or
            ``right_hip`` is missing.
    """
    indices = []
    for part in ('shoulder', 'hip'):
        names = [f'left_{part}', f'right_{part}']
        missing = [name for name in names if name not in keypoint_names]
        if missing:
            raise ValueError(
                f'The joints {list(keypoint_names)} have no {missing[0]!r}: '
                'poses are aligned by their torso, which needs both '
                'shoulders and both hips among the names.'
            )
        indices.append(tuple(keypoint_names.index(name) for name in names))
    return indices[0], indices[1]


def align_pose(
    keypoints: np.ndarray,
    visible: np.ndarray,
    shoulders: tuple[int, ...],
    hips: tuple[int, ...],
) -> np.ndarray | None:
    """Align a pose by its torso.

    .. math:: p'_k = (p_k - (s + h) / 2) / |s - h|

    with :math:`s` the mean of the visible shoulders and :math:`h` that of
    the visible hips; one of each is enough. The result does not change when
    the pose is moved or scaled.

    Args:
        keypoints (np.ndarray): The keypoints (K, 2) in pixels.
        visible (np.ndarray): Which are annotated (K,), bool; their keypoints
            are finite.
        shoulders (tuple): The indices of the shoulders.
        hips (tuple): The indices of the hips.

    Returns:
        np.ndarray | None: The pose (K, 2) in units of the torso's length, 0
        where not visible. None without a visible shoulder or hip, or where
        the torso is shorter than 0.1 of the longer side of the visible
        joints' extent.
    """
    # Plain floats: a training pipeline does this once a sample, and on 17
    # points arrays take four times as long.
    points = keypoints.tolist()
    shown = visible.tolist()
    upper = [points[k] for k in shoulders if shown[k]]
    lower = [points[k] for k in hips if shown[k]]
    if not upper or not lower:
        return None
    upper_x = sum([x for x, _ in upper]) / len(upper)
    upper_y = sum([y for _, y in upper]) / len(upper)
    lower_x = sum([x for x, _ in lower]) / len(lower)
    lower_y = sum([y for _, y in lower]) / len(lower)
    length = math.hypot(upper_x - lower_x, upper_y - lower_y)
    xs, ys = zip(*itertools.compress(points, shown), strict=True)
    extent = max(max(xs) - min(xs), max(ys) - min(ys))
    if length <= 0 or length < MIN_TORSO_TO_EXTENT * extent:
        return None
    middle_x, middle_y = (upper_x + lower_x) / 2, (upper_y + lower_y) / 2
    flat = []
    for (x, y), show in zip(points, shown, strict=True):
        if show:
            flat += (x - middle_x) / length, (y - middle_y) / length
        else:
            flat += 0.0, 0.0
    return np.array(flat).reshape(-1, 2)


class NearestAtom:
    """Look up the atom nearest to an aligned pose, of atoms (A, K, 2)."""

    def __init__(self, atoms: np.ndarray) -> None:
        atoms = np.asarray(atoms, dtype=np.float64)
        self._flat = 2 * atoms.reshape(len(atoms), -1)
        self._squares = np.square(atoms).sum(axis=2)

    def __call__(self, aligned: np.ndarray, visible: np.ndarray) -> int:
        """Return the index of the atom nearest over the visible joints.

        By the sum of squared distances to an aligned pose (K, 2), which is 0
        where not visible (K,); the first one of equals.
        """
        # |p - a|^2 without |p|^2, which is the same for every atom.
        shown = visible.astype(np.float64)
        distances = self._squares @ shown - self._flat @ aligned.ravel()
        return int(distances.argmin())


def _check_numbers(values: Any, shape: tuple[int, ...]) -> None:
    array = np.array(values, dtype=np.float64)
    if array.shape != shape or not np.isfinite(array).all():
        raise ValueError(f'{values} are no finite numbers of shape {shape}')


@dataclass
class SideMixture:
    """Mixture of C Gaussians of one side's offsets."""

    weights: list[float]  # (C,), not negative, their sum is 1
    means: list[float]  # (C,)
    stds: list[float]  # (C,), positive

    def __post_init__(self) -> None:
        for values in (self.weights, self.means, self.stds):
            _check_numbers(values, (len(self.weights),))
        if abs(sum(self.weights) - 1) > 1e-3:
            raise ValueError(f'the sum of the weights {self.weights} is not 1')
        if min(self.weights) < 0 or min(self.stds) <= 0:
            raise ValueError(f'a weight or width of {self} is not positive')
        self._bounds = list(itertools.accumulate(self.weights))[:-1]

    def offset(self, uniform: float, normal: float) -> float:
        """Turn a number in [0, 1) and a standard normal one into an offset."""
        index = bisect.bisect_right(self._bounds, uniform)
        return self.means[index] + self.stds[index] * normal

    def density(self, offsets: np.ndarray) -> np.ndarray:
        """Return the probability density at offsets of any shape."""
        z = (offsets[..., None] - np.array(self.means)) / np.array(self.stds)
        peaks = np.array(self.weights) / np.array(self.stds)
        return (peaks * np.exp(-(z**2) / 2)).sum(-1) / math.sqrt(2 * math.pi)


@dataclass
class OffsetModel:
    """Distribution of the four sides' offsets of one group of people.

    The sides x0, y0, x1, y1 are independent of one another, as in the
    authors' code: for each a Gaussian, and a mixture of Gaussians.
    """

    mean: list[float]
    std: list[float]
    mixtures: list[SideMixture]

    def __post_init__(self) -> None:
        _check_numbers(self.mean, (4,))
        _check_numbers(self.std, (4,))
        if len(self.mixtures) != 4:
            raise ValueError(f'{len(self.mixtures)} mixtures of four sides')

    @classmethod
    def gaussian(cls, mean: list[float], std: list[float]) -> 'OffsetModel':
        """Make the model whose mixtures are the Gaussians themselves."""
        sides = zip(mean, std, strict=True)
        return cls(mean, std, [SideMixture([1.0], [m], [s]) for m, s in sides])

    def gaussian_offsets(self, normal: Sequence[float]) -> list[float]:
        """Turn four standard normal numbers into offsets, by the Gaussians."""
        sides = zip(self.mean, self.std, normal, strict=True)
        return [mean + std * value for mean, std, value in sides]

    def mixture_offsets(
        self, uniform: Sequence[float], normal: Sequence[float]
    ) -> list[float]:
        """Turn four numbers in [0, 1) and four normal ones into offsets."""
        sides = zip(self.mixtures, uniform, normal, strict=True)
        return [mixture.offset(u, z) for mixture, u, z in sides]


@dataclass
class PeopleGroup:
    """Annotated people of one atom, of none, or all of them."""

    num_people: int
    num_matches: int  # of them with a detection
    offsets: OffsetModel | None  # None: too few, and everybody's stand in


@dataclass
class ProposalModel:
    """Atoms, and the offsets of a detector's boxes for each of them."""

    keypoint_names: list[str]  # of the K joints
    atoms: np.ndarray  # (A, K, 2), aligned by their torsos
    atom_groups: list[PeopleGroup]  # the people of each atom
    no_torso: PeopleGroup  # the people who have no atom
    everybody: PeopleGroup  # all people, with offsets
    atom_selection: dict = field(default_factory=dict)  # how A was chosen
    provenance: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._shoulders, self._hips = torso_joints(self.keypoint_names)
        shape = (len(self.atom_groups), len(self.keypoint_names), 2)
        _check_numbers(self.atoms, shape)
        if not self.atom_groups:
            raise ValueError('there is no atom')
        if self.everybody.offsets is None:
            raise ValueError('everybody has no offsets')
        self._nearest = NearestAtom(self.atoms)

    def atom_index(
        self, keypoints: np.ndarray, visible: np.ndarray
    ) -> int | None:
        """Look up the atom of an annotated pose; None without a torso.

        Args:
            keypoints (np.ndarray): The keypoints (K, 2) in pixels.
            visible (np.ndarray): Which are annotated (K,), bool.
        """
        # One product tells that all is well, a quarter of isfinite's time.
        if not math.isfinite(np.vdot(keypoints, keypoints)):
            visible = visible & np.isfinite(keypoints).all(axis=1)
        aligned = align_pose(keypoints, visible, self._shoulders, self._hips)
        if aligned is None:
            return None
        return self._nearest(aligned, visible)

    def offsets_of(
        self, keypoints: np.ndarray, visible: np.ndarray
    ) -> OffsetModel:
        """Return the offsets for a pose, as :meth:`atom_index` takes it.

        Those of its atom or of the people without a torso, everybody's where
        that group has none.
        """
        index = self.atom_index(keypoints, visible)
        group = self.no_torso if index is None else self.atom_groups[index]
        return group.offsets or self.everybody.offsets
