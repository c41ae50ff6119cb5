"""Where people's roots are, and heatmaps of roots and joints to train with.

Cells of a map are at integer coordinates (x, y). There is no loop over
pixels, joints or persons.
"""

from dataclasses import dataclass

import numpy as np

from .kinematics import KinematicTree

_PELVIS = (('left_hip', 'right_hip'), ('mid_hip',), ('pelvis',))

# a Gaussian is cut where it falls below this, the resolution of float32
GAUSSIAN_FLOOR = 1e-7

# what counts as a peak's foreground
FOREGROUND_THR = 0.01

# no cell of a map is further away, and it fits any integer
FAR = 1e6


def root_joints(root_type: str | int, tree: KinematicTree) -> list[list[int]]:
    """The joints whose middle is the root, best last; None for centres."""
    if root_type == 'pelvis':
        known = set(tree.joint_names or ())
        choices = [
            [tree.index(name) for name in names]
            for names in _PELVIS
            if known.issuperset(names)
        ]
        if not choices:
            raise ValueError(
                "root_type='pelvis' needs a joint named 'pelvis' or "
                "'mid_hip', or both 'left_hip' and 'right_hip'; give "
                '`joint_names` in `kinematics`, or another root_type'
            )
        return choices
    if root_type in ('kpt_center', 'bbox_center'):
        return []
    if isinstance(root_type, str):
        return [[tree.index(root_type)]]
    if not 0 <= root_type < tree.num_joints:
        raise ValueError(
            f'root_type={root_type} is not one of the {tree.num_joints} joints'
        )
    return [[root_type]]


def instance_roots(
    keypoints: np.ndarray,
    labelled: np.ndarray,
    root_type: str | int,
    tree: KinematicTree,
) -> np.ndarray:
    """Locate the root (N, 2) of each person among joints (N, K, 2), else 0."""
    points = np.where(labelled[..., None], keypoints, 0.0)
    if root_type == 'bbox_center':
        low, high = _extents(points, labelled)
        return np.where(labelled.any(axis=1)[:, None], (low + high) / 2, 0.0)
    count = np.maximum(labelled.sum(axis=1), 1)[:, None]
    roots = points.sum(axis=1) / count
    for joints in root_joints(root_type, tree):
        found = labelled[:, joints].all(axis=1)
        middle = points[:, joints].mean(axis=1)
        roots = np.where(found[:, None], middle, roots)
    return roots


def instance_diagonals(
    keypoints: np.ndarray, labelled: np.ndarray
) -> np.ndarray:
    """Diagonals (N,) of the boxes around the labelled ones of (N, K, 2)."""
    low, high = _extents(keypoints, labelled)
    diagonals = np.linalg.norm(high - low, axis=-1)
    return np.where(labelled.any(axis=1), diagonals, 0.0)


def _extents(
    points: np.ndarray, labelled: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    mask = labelled[..., None]
    large = np.finfo(np.float32).max / 4
    low = np.where(mask, points, large).min(axis=1)
    high = np.where(mask, points, -large).max(axis=1)
    return low, high


@dataclass(frozen=True)
class Grid:
    """The cells of a map (W, H), and the unit that distances on it have.

    ``metric`` are units per cell (x, y): ones, or the stride where distances
    are in input pixels; ``tau`` is the windows' radius in these units.
    """

    size: tuple[int, int]
    metric: np.ndarray
    tau: float


def gaussian_maps(
    centers: np.ndarray, shown: np.ndarray, sigma: float, grid: Grid
) -> np.ndarray:
    r"""Draw Gaussian peaks (C, H, W); where they overlap the highest counts.

    .. math::
        C_c(p) = \max_n \exp(-\|p - \mu_{n,c}\|^2 / \sigma^2)

    Centres (N, C, 2) are in cells, ``sigma`` in units of the metric. Values
    below 1e-7 are 0.
    """
    width, height = grid.size
    maps = np.zeros((centers.shape[1], height, width), dtype=np.float32)
    persons, channels = np.nonzero(shown)
    if len(persons) == 0:
        return maps
    centers = centers[persons, channels]
    reach = np.sqrt(-np.log(GAUSSIAN_FLOOR) * sigma**2) / grid.metric
    x, x_inside = window_axis(centers[:, 0], reach[0], width)
    y, y_inside = window_axis(centers[:, 1], reach[1], height)
    # a Gaussian is the product of one along x and one along y
    dx = (x - centers[:, :1]) * grid.metric[0]
    dy = (y - centers[:, 1:]) * grid.metric[1]
    along_x = np.exp(-(dx**2) / sigma**2).astype(np.float32) * x_inside
    along_y = np.exp(-(dy**2) / sigma**2).astype(np.float32) * y_inside
    values = along_y[:, :, None] * along_x[:, None, :]
    rows = channels[:, None] * height + np.clip(y, 0, height - 1)
    cells = rows[:, :, None] * width + np.clip(x, 0, width - 1)[:, None, :]
    np.maximum.at(maps.reshape(-1), cells.reshape(-1), values.reshape(-1))
    maps[maps < GAUSSIAN_FLOOR] = 0
    return maps


def heatmap_weights(
    heatmaps: np.ndarray, background_weight: float
) -> np.ndarray:
    """Weights (C, H, W) float32: 1 where heatmaps exceed 0.01, else this."""
    weights = np.full_like(heatmaps, background_weight)
    if background_weight != 1:
        weights[heatmaps > FOREGROUND_THR] = 1
    return weights


def window_axis(
    centers: np.ndarray, reach: float, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates around centres along one axis, and which are on the map."""
    radius = int(reach + 0.5)
    nearest = np.rint(np.clip(centers, -FAR, FAR)).astype(np.int64)
    coordinates = nearest[..., None] + np.arange(-radius, radius + 1)
    return coordinates, (coordinates >= 0) & (coordinates < size)
