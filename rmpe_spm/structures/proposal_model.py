"""The fitted model of a detector's box errors, and its file.

The file is JSON (``tools/fit_pgpg.py`` writes it)::

    format          'rmpe_spm.pgpg'
    version         1
    keypoint_names  names of the K joints, in the data set's order
    atoms           [{pose, num_people, num_matches, offsets}]
    no_torso        {num_people, num_matches, offsets}: the people whose
                    torso is not annotated, which have no atomic pose
    global          {num_people, num_matches, offsets}: everybody
    atom_selection  how the number of atoms was chosen
    provenance      data, hashes, command, date, counts, versions

``pose`` is (K, 2) in units of the torso's length around its middle (see
:mod:`rmpe_spm.structures.atomic_poses`). ``offsets`` describes the offsets
of x0, y0, x1, y1 of a detected box from the annotated one over the annotated
width or height::

    mean, std       one Gaussian a side, (4,) each
    mixtures        [{weights, means, stds}], one mixture of Gaussians a side

It is null where too few detections were matched; ``global`` stands in.
"""

import bisect
import itertools
import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .atomic_poses import NearestAtom, align_pose, torso_joints

FORMAT = 'rmpe_spm.pgpg'
VERSION = 1


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

    def to_dict(self) -> dict[str, Any]:
        """Give the content of the model's file.

        Returns:
            dict: What the module's docstring lists, for ``json.dump``.
        """
        return {
            'format': FORMAT,
            'version': VERSION,
            'keypoint_names': list(self.keypoint_names),
            'atoms': [
                {'pose': _rounded(pose), **_group_to_dict(group)}
                for pose, group in zip(
                    self.atoms, self.atom_groups, strict=True
                )
            ],
            'no_torso': _group_to_dict(self.no_torso),
            'global': _group_to_dict(self.everybody),
            'atom_selection': self.atom_selection,
            'provenance': self.provenance,
        }

    def save(self, path: str | Path) -> None:
        """Write the model's file.

        Args:
            path (str | Path): The file; its folder is made
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.to_dict(), indent=1)
        path.write_text(_join_numbers(text) + '\n', encoding='utf-8')

    @classmethod
    def load(cls, path: str | Path) -> 'ProposalModel':
        """Read and check a model's file.

        Args:
            path (str | Path): The file

        Returns:
            ProposalModel: The model.

        Raises:
            FileNotFoundError: Where there is no such file.
            ValueError: Where the file is not a fitted model or is damaged;
                the message names the file and the entry.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(
                f'There is no fitted PGPG model {str(path)!r}. Make one from '
                "a detector's results with tools/fit_pgpg.py."
            )
        try:
            content = json.loads(path.read_text(encoding='utf-8'))
        except ValueError as error:
            raise ValueError(
                f'{path}: not a JSON file ({error}); write it anew with '
                'tools/fit_pgpg.py.'
            ) from error
        try:
            return cls.from_dict(content)
        except ValueError as error:
            raise ValueError(
                f'{path}: not a fitted PGPG model: {error}'
            ) from error

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> 'ProposalModel':
        """Make the model from the content of its file.

        Args:
            content (dict): What the module's docstring lists

        Returns:
            ProposalModel: The model.

        Raises:
            ValueError: Where an entry is missing or wrong; the message
                names it.
        """
        if not isinstance(content, dict) or content.get('format') != FORMAT:
            raise ValueError(f"'format' is not {FORMAT!r}")
        if content.get('version') != VERSION:
            raise ValueError(
                f"'version' is {content.get('version')!r}, this package "
                f'reads {VERSION}'
            )
        names = _entry(content, 'keypoint_names', 'the file')
        if not isinstance(names, list) or not all(
            isinstance(name, str) for name in names
        ):
            raise ValueError("'keypoint_names' is not a list of names")
        atoms = _entry(content, 'atoms', 'the file')
        if not isinstance(atoms, list) or not atoms:
            raise ValueError("'atoms' is not a list of at least one atom")
        poses, groups = [], []
        for index, atom in enumerate(atoms):
            where = f"'atoms'[{index}]"
            pose = _entry(atom, 'pose', where)
            poses.append(_numbers(pose, (len(names), 2), f"{where}['pose']"))
            groups.append(_group_from_dict(atom, where))
        no_torso = _group_from_dict(
            _entry(content, 'no_torso', 'the file'), "'no_torso'"
        )
        everybody = _group_from_dict(
            _entry(content, 'global', 'the file'), "'global'"
        )
        if everybody.offsets is None:
            raise ValueError("'global' has no 'offsets'")
        return cls(
            keypoint_names=names,
            atoms=np.stack(poses),
            atom_groups=groups,
            no_torso=no_torso,
            everybody=everybody,
            atom_selection=content.get('atom_selection', {}),
            provenance=content.get('provenance', {}),
        )


def _entry(content: Any, key: str, where: str) -> Any:
    if not isinstance(content, dict) or key not in content:
        raise ValueError(f'{where} has no entry {key!r}')
    return content[key]


def _numbers(values: Any, shape: tuple[int, ...], where: str) -> np.ndarray:
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f'{where} is not made of numbers') from error
    if array.shape != shape:
        raise ValueError(f'{where} has shape {array.shape}, not {shape}')
    if not np.isfinite(array).all():
        raise ValueError(f'{where} has numbers that are not finite')
    return array


def _group_from_dict(content: Any, where: str) -> PeopleGroup:
    counts = []
    for key in ('num_people', 'num_matches'):
        count = _entry(content, key, where)
        if not isinstance(count, int) or count < 0:
            raise ValueError(f'{where}[{key!r}] is not a count')
        counts.append(count)
    offsets = _entry(content, 'offsets', where)
    if offsets is not None:
        offsets = _offsets_from_dict(offsets, f"{where}['offsets']")
    return PeopleGroup(*counts, offsets)


def _offsets_from_dict(content: Any, where: str) -> OffsetModel:
    mean = _numbers(_entry(content, 'mean', where), (4,), f"{where}['mean']")
    std = _numbers(_entry(content, 'std', where), (4,), f"{where}['std']")
    if (std < 0).any():
        raise ValueError(f"{where}['std'] has negative numbers")
    mixtures = _entry(content, 'mixtures', where)
    if not isinstance(mixtures, list) or len(mixtures) != 4:
        raise ValueError(f"{where}['mixtures'] is not a list of four")
    return OffsetModel(
        mean.tolist(),
        std.tolist(),
        [
            _mixture_from_dict(mixture, f"{where}['mixtures'][{index}]")
            for index, mixture in enumerate(mixtures)
        ],
    )


def _mixture_from_dict(content: Any, where: str) -> SideMixture:
    weights = _entry(content, 'weights', where)
    if not isinstance(weights, list) or not weights:
        raise ValueError(f"{where}['weights'] has no component")
    shape = (len(weights),)
    weights = _numbers(weights, shape, f"{where}['weights']")
    if (weights < 0).any() or abs(weights.sum() - 1) > 1e-3:
        raise ValueError(
            f"{where}['weights'] is {weights.tolist()}: weights must not be "
            'negative and their sum must be 1'
        )
    means = _numbers(
        _entry(content, 'means', where), shape, f"{where}['means']"
    )
    stds = _numbers(_entry(content, 'stds', where), shape, f"{where}['stds']")
    if (stds <= 0).any():
        raise ValueError(f"{where}['stds'] has numbers that are not positive")
    return SideMixture(weights.tolist(), means.tolist(), stds.tolist())


def _group_to_dict(group: PeopleGroup) -> dict[str, Any]:
    offsets = group.offsets
    return {
        'num_people': group.num_people,
        'num_matches': group.num_matches,
        'offsets': None
        if offsets is None
        else {
            'mean': _rounded(offsets.mean),
            'std': _rounded(offsets.std),
            'mixtures': [
                {
                    'weights': _rounded(mixture.weights),
                    'means': _rounded(mixture.means),
                    'stds': _rounded(mixture.stds),
                }
                for mixture in offsets.mixtures
            ],
        },
    }


def _rounded(values: np.ndarray | list) -> list:
    # Far below what is known of an offset, and a tenth of the file's size.
    return np.round(values, 7).tolist()


def _join_numbers(text: str) -> str:
    """Put the innermost lists of an indented JSON text on one line."""
    return re.sub(
        r'\[[^\[\]{}"]*\]',
        lambda match: ' '.join(match.group().split()),
        text,
    )
