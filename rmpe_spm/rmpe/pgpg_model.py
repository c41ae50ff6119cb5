"""The fitted model of a detector's box errors.

Its file: :mod:`rmpe_spm.rmpe.pgpg_model_file`.
"""

import bisect
import itertools
import math
from dataclasses import dataclass, field

import numpy as np

# A torso seen from its end has hardly any length in the image; the pose
# divided by it would be noise.
MIN_TORSO_TO_EXTENT = 0.1


def torso_joints(
    keypoint_names: list[str],
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Find the shoulders and the hips by the joints' names.

    Args:
        keypoint_names (list): The names in the data set's order, with
            ``left_shoulder``, ``right_shoulder``, ``left_hip`` and
            ``right_hip`` among them

    Returns:
        tuple: The indices of the shoulders and those of the hips.

    Raises:
        ValueError: Where one of the four is missing.
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
    r"""Align a pose by its torso.

    .. math:: p'_k = (p_k - (s + h) / 2) / |s - h|

    with :math:`s` the mean of the visible shoulders and :math:`h` that of
    the visible hips; one of each is enough. The result does not change when
    the pose is moved or scaled.

    - K: keypoints

    Args:
        keypoints (np.ndarray): The keypoints (K, 2) in pixels
        visible (np.ndarray): Which are annotated (K,), bool; their keypoints
            are finite
        shoulders (tuple): The indices of the shoulders
        hips (tuple): The indices of the hips

    Returns:
        np.ndarray | None: The pose (K, 2) in units of the torso's length, 0
        where not visible. None where no shoulder or no hip is visible or
        the torso is shorter than 0.1 of the longer side of the visible
        joints' bounding box.
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
    """Look up the atomic pose nearest to an aligned pose.

    - K: keypoints
    - A: atomic poses

    Args:
        atoms (np.ndarray): The atomic poses (A, K, 2), A at least 1
    """

    def __init__(self, atoms: np.ndarray) -> None:
        atoms = np.asarray(atoms, dtype=np.float64)
        self._flat = 2 * atoms.reshape(len(atoms), -1)
        self._squares = np.square(atoms).sum(axis=2)

    def __call__(self, aligned: np.ndarray, visible: np.ndarray) -> int:
        """Find the atom.

        Args:
            aligned (np.ndarray): An aligned pose (K, 2), 0 where not visible
            visible (np.ndarray): Which joints count (K,), bool

        Returns:
            int: The index of the atom with the smallest sum of squared
            distances over the visible joints, the first one of equals.
        """
        # |p - a|^2 without |p|^2, which is the same for every atom.
        shown = visible.astype(np.float64)
        distances = self._squares @ shown - self._flat @ aligned.ravel()
        return int(distances.argmin())


@dataclass
class SideMixture:
    """Mixture of Gaussians of one side's offsets.

    - C: components

    Args:
        weights (list): The components' weights (C,), their sum is 1
        means (list): Their means (C,)
        stds (list): Their standard deviations (C,)
    """

    weights: list[float]
    means: list[float]
    stds: list[float]

    def __post_init__(self) -> None:
        self._bounds = list(itertools.accumulate(self.weights))[:-1]

    def offset(self, uniform: float, normal: float) -> float:
        """Turn two random numbers into an offset.

        Args:
            uniform (float): A number in [0, 1), which chooses the component
            normal (float): A standard normal number

        Returns:
            float: The offset.
        """
        index = bisect.bisect_right(self._bounds, uniform)
        return self.means[index] + self.stds[index] * normal

    def density(self, offsets: np.ndarray) -> np.ndarray:
        """The probability density at some offsets.

        Args:
            offsets (np.ndarray): The offsets, of any shape

        Returns:
            np.ndarray: The densities, of the same shape.
        """
        z = (offsets[..., None] - np.array(self.means)) / np.array(self.stds)
        peaks = np.array(self.weights) / np.array(self.stds)
        return (peaks * np.exp(-(z**2) / 2)).sum(-1) / math.sqrt(2 * math.pi)


@dataclass
class OffsetModel:
    """Distribution of the four side offsets of one group of people.

    The sides are independent of one another, as in the authors' code.

    Args:
        mean (list): Mean of the offsets of x0, y0, x1, y1 (4,)
        std (list): Their standard deviations (4,)
        mixtures (list): One mixture for each of them (4,)
    """

    mean: list[float]
    std: list[float]
    mixtures: list[SideMixture]

    def gaussian_offsets(self, normal: list[float]) -> list[float]:
        """Offsets by one Gaussian a side.

        Args:
            normal (list): Four standard normal numbers

        Returns:
            list: The offsets (4,).
        """
        return [
            mean + std * value
            for mean, std, value in zip(
                self.mean, self.std, normal, strict=True
            )
        ]

    def mixture_offsets(
        self, uniform: list[float], normal: list[float]
    ) -> list[float]:
        """Offsets by one mixture a side.

        Args:
            uniform (list): Four numbers in [0, 1), which choose components
            normal (list): Four standard normal numbers

        Returns:
            list: The offsets (4,).
        """
        return [
            mixture.offset(u, z)
            for mixture, u, z in zip(
                self.mixtures, uniform, normal, strict=True
            )
        ]


@dataclass
class PeopleGroup:
    """People of one atomic pose, of none, or all of them.

    Args:
        num_people (int): How many annotated people are of the group
        num_matches (int): How many of them a detection was matched with
        offsets (OffsetModel | None): Their boxes' errors; None where they
            are too few and the global ones stand in
    """

    num_people: int
    num_matches: int
    offsets: OffsetModel | None


@dataclass
class ProposalModel:
    """Atomic poses and the box errors of a detector for each of them.

    - K: keypoints
    - A: atomic poses

    Args:
        keypoint_names (list): The names of the joints
        atoms (np.ndarray): The atomic poses (A, K, 2), torso-aligned
        atom_groups (list): The groups of the atoms
        no_torso (PeopleGroup): The group of the people without a torso
        everybody (PeopleGroup): All people, with offsets
        atom_selection (dict): How the number of atoms was chosen
        provenance (dict): Where the model comes from
    """

    keypoint_names: list[str]
    atoms: np.ndarray
    atom_groups: list[PeopleGroup]
    no_torso: PeopleGroup
    everybody: PeopleGroup
    atom_selection: dict = field(default_factory=dict)
    provenance: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._shoulders, self._hips = torso_joints(self.keypoint_names)
        self._nearest = NearestAtom(self.atoms)

    def atom_index(
        self, keypoints: np.ndarray, visible: np.ndarray
    ) -> int | None:
        """Look up the atomic pose of an annotated one.

        Args:
            keypoints (np.ndarray): The keypoints (K, 2) in pixels
            visible (np.ndarray): Which are annotated (K,), bool

        Returns:
            int | None: The atom's index, None without a torso.
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
        """The distribution of the box errors for an annotated pose.

        Args:
            keypoints (np.ndarray): The keypoints (K, 2) in pixels
            visible (np.ndarray): Which are annotated (K,), bool

        Returns:
            OffsetModel: That of its atom or of the people without a torso,
            the global one where that group has none.
        """
        index = self.atom_index(keypoints, visible)
        group = self.no_torso if index is None else self.atom_groups[index]
        return group.offsets or self.everybody.offsets
