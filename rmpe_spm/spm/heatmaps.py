"""Heatmaps to train with, without a loop over pixels, joints or persons.

Cells and ``metric`` are those of :mod:`rmpe_spm.spm.targets`.
"""

import numpy as np

from .kinematics import KinematicTree
from .targets import window_axis, window_mask

PELVIS_NAMES = ('pelvis', 'mid_hip')
HIP_NAMES = ('left_hip', 'right_hip')
ROOT_TYPES = ('kpt_center', 'bbox_center', 'pelvis')


def check_root_type(root_type: str | int, tree: KinematicTree) -> None:
    """Refuse a root type that the tree cannot give.

    Args:
        root_type (str | int): As in :func:`instance_roots`.
        tree (KinematicTree): The joints.

    Raises:
        ValueError: If the type is unknown, the joint does not exist, or
            ``'pelvis'`` is asked of a tree without named hips.
    """
    if isinstance(root_type, str):
        if root_type == 'pelvis':
            names = tree.joint_names or ()
            if not set(PELVIS_NAMES) & set(names) and not set(
                HIP_NAMES
            ) <= set(names):
                raise ValueError(
                    "root_type='pelvis' needs a joint named 'pelvis' or "
                    "'mid_hip', or both 'left_hip' and 'right_hip'; give "
                    '`joint_names` in `kinematics`, or another root_type'
                )
        elif root_type not in ROOT_TYPES:
            tree.index(root_type)
    elif not 0 <= root_type < tree.num_joints:
        raise ValueError(
            f'root_type={root_type} is not one of the {tree.num_joints} joints'
        )


def instance_roots(
    keypoints: np.ndarray,
    labelled: np.ndarray,
    root_type: str | int,
    tree: KinematicTree,
) -> tuple[np.ndarray, np.ndarray]:
    """Locate the root of each person.

    The paper says "the person centroid" and gives no formula.

    Args:
        keypoints (np.ndarray): Joints in shape (N, K, 2), any unit.
        labelled (np.ndarray): Which of them are labelled, (N, K) bool.
        root_type (str | int): ``'kpt_center'``, the mean of the labelled
            joints; ``'bbox_center'``, the centre of the box around them;
            ``'pelvis'``, that joint or, where it is not labelled, the middle
            of both hips; or one joint by name or index. The last two fall
            back to the mean of the labelled joints for a person whose joint
            is not labelled.
        tree (KinematicTree): The joints' names.

    Returns:
        tuple[np.ndarray, np.ndarray]: Roots (N, 2) in the unit of
        ``keypoints`` (0 where there is none), and whether the person has one
        (N,), bool: it does with any labelled joint.
    """
    valid = labelled.any(axis=1)
    points = np.where(labelled[..., None], keypoints, 0.0)
    count = np.maximum(labelled.sum(axis=1), 1)[:, None]
    roots = points.sum(axis=1) / count
    if root_type == 'kpt_center':
        return roots, valid
    if root_type == 'bbox_center':
        low, high = _extent(points, labelled)
        return np.where(valid[:, None], (low + high) / 2, 0.0), valid

    for joints in _root_joints(root_type, tree):
        found = labelled[:, joints].all(axis=1)
        middle = points[:, joints].mean(axis=1)
        roots = np.where(found[:, None], middle, roots)
    return roots, valid


def instance_diagonals(
    keypoints: np.ndarray, labelled: np.ndarray
) -> np.ndarray:
    """Diagonals of the boxes around the labelled joints.

    Args:
        keypoints (np.ndarray): Joints in shape (N, K, 2), any unit.
        labelled (np.ndarray): Which of them are labelled, (N, K) bool.

    Returns:
        np.ndarray: Diagonals (N,) in the unit of ``keypoints``; 0 for a
        person without labelled joints.
    """
    points = np.where(labelled[..., None], keypoints, 0.0)
    low, high = _extent(points, labelled)
    diagonals = np.linalg.norm(high - low, axis=-1)
    return np.where(labelled.any(axis=1), diagonals, 0.0)


def _extent(
    points: np.ndarray, labelled: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    mask = labelled[..., None]
    large = np.finfo(np.float32).max / 4
    low = np.where(mask, points, large).min(axis=1)
    high = np.where(mask, points, -large).max(axis=1)
    return low, high


def _root_joints(root_type: str | int, tree: KinematicTree) -> list[list[int]]:
    """Joints whose middle is the root, the best choice last."""
    if root_type == 'pelvis':
        choices = [HIP_NAMES, *((name,) for name in PELVIS_NAMES)]
        return [
            [tree.index(name) for name in names]
            for names in choices
            if set(names) <= set(tree.joint_names)
        ]
    if isinstance(root_type, str):
        return [[tree.index(root_type)]]
    return [[root_type]]


# a Gaussian is cut where it falls below this, the resolution of float32
GAUSSIAN_FLOOR = 1e-7

# what counts as a peak's foreground
FOREGROUND_THR = 0.01


def gaussian_maps(
    centers: np.ndarray,
    valid: np.ndarray,
    heatmap_size: tuple[int, int],
    exponent_scale: float,
    metric: np.ndarray,
) -> np.ndarray:
    r"""Draw Gaussian peaks; where they overlap the highest counts.

    .. math::
        C_c(p) = \max_n \exp(-\|p - \mu_{n,c}\|^2 / s)

    Args:
        centers (np.ndarray): Peaks (N, C, 2) in cells.
        valid (np.ndarray): Which are drawn, (N, C) bool.
        heatmap_size (tuple[int, int]): Map size (W, H).
        exponent_scale (float): ``s``, in squared units of the metric:
            sigma^2 in SPM's form, 2 sigma^2 in the usual one.
        metric (np.ndarray): Units per cell (x, y).

    Returns:
        np.ndarray: Maps (C, H, W), float32. Values below 1e-7 are 0.
    """
    width, height = heatmap_size
    num_channels = centers.shape[1]
    maps = np.zeros((num_channels, height, width), dtype=np.float32)
    persons, channels = np.nonzero(valid)
    if len(persons) == 0:
        return maps
    centers = centers[persons, channels]
    reach = np.sqrt(-np.log(GAUSSIAN_FLOOR) * exponent_scale) / metric
    x, x_inside = window_axis(centers[:, 0], reach[0], width)
    y, y_inside = window_axis(centers[:, 1], reach[1], height)
    # a Gaussian is the product of one along x and one along y
    dx = (x - centers[:, :1]) * metric[0]
    dy = (y - centers[:, 1:]) * metric[1]
    along_x = np.exp(-(dx**2) / exponent_scale).astype(np.float32) * x_inside
    along_y = np.exp(-(dy**2) / exponent_scale).astype(np.float32) * y_inside
    values = along_y[:, :, None] * along_x[:, None, :]
    rows = channels[:, None] * height + np.clip(y, 0, height - 1)
    cells = rows[:, :, None] * width + np.clip(x, 0, width - 1)[:, None, :]
    np.maximum.at(maps.reshape(-1), cells.reshape(-1), values.reshape(-1))
    maps[maps < GAUSSIAN_FLOOR] = 0
    return maps


def heatmap_weights(
    heatmaps: np.ndarray,
    centers: np.ndarray,
    drawn: np.ndarray,
    small: np.ndarray,
    tau: float,
    metric: np.ndarray,
    window: str = 'disc',
    background_weight: float = 1,
) -> np.ndarray:
    """How much each cell of the heatmaps counts in the loss.

    Args:
        heatmaps (np.ndarray): What is drawn, (C, H, W).
        centers (np.ndarray): Joints and roots (N, C, 2) in cells.
        drawn (np.ndarray): Which of them are drawn, (N, C) bool.
        small (np.ndarray): Which of them belong to persons too small to be
            drawn, (N, C) bool: the windows around them count neither as
            person nor as background.
        tau (float): Of these windows, see
            :func:`~rmpe_spm.spm.targets.windows`.
        metric (np.ndarray): Units per cell (x, y).
        window (str): ``'disc'`` or ``'square'``. Defaults to ``'disc'``.
        background_weight (float): Weight where a map is 0.01 or less.
            Defaults to 1.

    Returns:
        np.ndarray: Weights (C, H, W), float32: 1 on peaks,
        ``background_weight`` off them, 0 around what is too small, where
        nothing that is drawn has a window.
    """
    weights = np.full_like(heatmaps, background_weight)
    if background_weight != 1:
        weights[heatmaps > FOREGROUND_THR] = 1
    if small.any():
        size = heatmaps.shape[:0:-1]
        ignored, kept = (
            window_mask(centers, which, size, tau, metric, window)
            for which in (small, drawn)
        )
        weights[ignored & ~kept] = 0
    return weights
