r"""The fitted model of PGPG and its file.

All poses of people are aligned by their torsos and clustered; the clusters'
centres are the *atoms*. An annotated pose is looked up among them, and each
atom has a distribution of the *offsets* of the four sides of a detected box
from the annotated one, the paper's :math:`P(\delta B | atom(P))` (section
3.3). Boxes that are drawn from it are *proposals* (:mod:`.proposals`).

The file is JSON (``tools/fit_pgpg.py`` writes it)::

    format          'rmpe_spm.pgpg'
    version         1
    keypoint_names  names of the K joints, in the data set's order
    atoms           [{pose, num_people, num_matches, offsets}]
    no_torso        {num_people, num_matches, offsets}
    global          {num_people, num_matches, offsets}: everybody
    atom_selection  how the number of atoms was chosen
    provenance      data, hashes, command, date, counts, versions

with the fields of the classes below; a ``pose`` is (K, 2).
"""

import bisect
import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigError
from ..files import read_json, write_atomically

MAX_ROUNDS = 100
# A torso seen from its end has hardly any length in the image; the pose
# divided by it would be noise.
MIN_TORSO_TO_EXTENT = 0.1


def torso_joints(
    keypoint_names: list[str],
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Find the indices of the shoulders and of the hips by their names."""
    names = ('left_shoulder', 'right_shoulder', 'left_hip', 'right_hip')
    missing = [name for name in names if name not in keypoint_names]
    if missing:
        raise ValueError(
            f'the joints {list(keypoint_names)} have no {missing[0]!r}: poses '
            'are aligned by both shoulders and both hips'
        )
    indices = tuple(map(keypoint_names.index, names))
    return indices[:2], indices[2:]


def align_pose(
    keypoints: np.ndarray,
    visible: np.ndarray,
    shoulders: tuple[int, ...],
    hips: tuple[int, ...],
) -> np.ndarray | None:
    """Align a pose (K, 2) by its torso.

    .. math:: p'_k = (p_k - (s + h) / 2) / |s - h|

    with :math:`s` the mean of the visible shoulders and :math:`h` that of
    the visible hips; one of each is enough. 0 where not visible. None without
    a visible shoulder or hip, or where the torso is shorter than 0.1 of the
    longer side of the joints' extent.
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
        """Return the index of the atom nearest over the visible joints."""
        # |p - a|^2 without |p|^2, which is the same for every atom.
        shown = visible.astype(np.float64)
        distances = self._squares @ shown - self._flat @ aligned.ravel()
        return int(distances.argmin())


def cluster_poses(
    aligned: np.ndarray, visible: np.ndarray, num_atoms: int, seed: int
) -> np.ndarray:
    """Find the atoms of aligned poses (N, K, 2), 0 where not visible (N, K).

    k-means on poses whose missing joints are the mean ones gives the start.
    Then the missing joints are those of the pose's own cluster, until no pose
    changes its cluster or a hundred rounds are over: a pose belongs to the
    atom that is nearest over its visible joints, and an atom's joint is the
    mean over the poses that show it. The most frequent atom comes first.
    """
    from sklearn.cluster import KMeans

    mean = _joint_means(aligned, visible, np.zeros(aligned.shape[1:]))
    filled = np.where(visible[..., None], aligned, mean)
    kmeans = KMeans(num_atoms, n_init=4, random_state=seed)
    labels = kmeans.fit_predict(filled.reshape(len(filled), -1))
    for _ in range(MAX_ROUNDS):
        atoms = np.stack(
            [
                _joint_means(aligned[own], visible[own], mean)
                for own in (labels == index for index in range(num_atoms))
            ]
        )
        new_labels = look_up_atoms(aligned, visible, atoms)
        if np.array_equal(labels, new_labels):
            break
        labels = new_labels
    counts = np.bincount(labels, minlength=num_atoms)
    return atoms[np.argsort(-counts, kind='stable')]


def _joint_means(
    aligned: np.ndarray, visible: np.ndarray, default: np.ndarray
) -> np.ndarray:
    counts = visible.sum(axis=0)[:, None]
    return np.where(
        counts > 0, aligned.sum(axis=0) / np.maximum(counts, 1), default
    )


def look_up_atoms(
    aligned: np.ndarray, visible: np.ndarray, atoms: np.ndarray
) -> np.ndarray:
    """Return the index (N,) of the atom nearest to each aligned pose."""
    lookup = NearestAtom(atoms)
    return np.array(
        [lookup(p, v) for p, v in zip(aligned, visible, strict=True)], int
    )


FORMAT = 'rmpe_spm.pgpg'
VERSION = 1


@dataclass
class SideMixture:
    """Mixture of C Gaussians of one side's offsets."""

    weights: list[float]  # (C,), not negative, their sum is 1
    means: list[float]  # (C,)
    stds: list[float]  # (C,), positive

    def __post_init__(self) -> None:
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
        self._nearest = NearestAtom(self.atoms)

    def atom_index(
        self, keypoints: np.ndarray, visible: np.ndarray
    ) -> int | None:
        """Return the atom of keypoints (K, 2), None without a torso."""
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
        """Return a pose's offsets, everybody's where its group has none."""
        index = self.atom_index(keypoints, visible)
        group = self.no_torso if index is None else self.atom_groups[index]
        return group.offsets or self.everybody.offsets


def save_proposal_model(model: ProposalModel, path: str | Path) -> None:
    """Write the model's file; its folder is made."""
    content = proposal_model_to_dict(model)
    write_atomically(path, json.dumps(content, indent=1) + '\n')


def proposal_model_to_dict(model: ProposalModel) -> dict[str, Any]:
    """Return the content of the model's file, for ``json.dump``."""
    return {
        'format': FORMAT,
        'version': VERSION,
        'keypoint_names': list(model.keypoint_names),
        'atoms': [
            _rounded({'pose': pose.tolist(), **asdict(group)})
            for pose, group in zip(model.atoms, model.atom_groups, strict=True)
        ],
        'no_torso': _rounded(asdict(model.no_torso)),
        'global': _rounded(asdict(model.everybody)),
        'atom_selection': model.atom_selection,
        'provenance': model.provenance,
    }


def _rounded(content: Any) -> Any:
    """Round far below what is known of an offset: a tenth of the size."""
    if isinstance(content, dict):
        return {key: _rounded(value) for key, value in content.items()}
    if isinstance(content, list):
        return list(map(_rounded, content))
    return round(content, 7) if isinstance(content, float) else content


def load_proposal_model(path: str | Path) -> ProposalModel:
    """Read and check a model's file.

    Raises:
        FileNotFoundError: If there is no such file.
        ConfigError: If it is not a fitted model or is damaged.
    """
    content = read_json(path)
    try:
        kind = content['format'], content['version']
        if kind != (FORMAT, VERSION):
            raise ValueError(f'{kind} is not {(FORMAT, VERSION)}')
        atoms = content['atoms']
        return ProposalModel(
            content['keypoint_names'],
            np.array([atom['pose'] for atom in atoms], dtype=np.float64),
            list(map(_read_group, atoms)),
            _read_group(content['no_torso']),
            _read_group(content['global']),
            atom_selection=content.get('atom_selection', {}),
            provenance=content.get('provenance', {}),
        )
    except (KeyError, TypeError, ValueError) as error:
        reason = f'no entry {error}' if type(error) is KeyError else error
        raise ConfigError(
            f'{path} is not a PGPG model of tools/fit_pgpg.py: {reason}'
        ) from error


def _read_group(content: dict[str, Any]) -> PeopleGroup:
    offsets = content['offsets']
    if offsets is not None:
        mixtures = [SideMixture(**side) for side in offsets['mixtures']]
        offsets = OffsetModel(offsets['mean'], offsets['std'], mixtures)
    return PeopleGroup(content['num_people'], content['num_matches'], offsets)
