"""Torso-aligned poses and the nearest atomic pose.

An aligned pose is centred at the middle of the torso and divided by the
torso's length (section 3.3 of RMPE); it is not rotated, since a detector's
errors depend on whether a person stands or lies.
"""

import itertools
import math

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
