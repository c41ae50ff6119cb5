"""Atoms, the atomic poses of PGPG: aligned, clustered and looked up.

All poses of people are aligned by their torsos and clustered; the clusters'
centres are the atoms (RMPE, section 3.3).
"""

import itertools
import math

import numpy as np

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
