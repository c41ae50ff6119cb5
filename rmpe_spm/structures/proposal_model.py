"""The fitted model of a detector's box errors.

Its file: :mod:`rmpe_spm.structures.proposal_model_file`.
"""

import bisect
import itertools
import math
from dataclasses import dataclass, field

import numpy as np

from .atomic_poses import NearestAtom, align_pose, torso_joints


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
