"""Where a person's root is."""

import numpy as np

from ..kinematics import KinematicTree

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
