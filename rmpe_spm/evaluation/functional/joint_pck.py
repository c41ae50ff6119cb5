"""Part of the annotated joints that are found."""

import numpy as np

from .coco_poses import PoseSet
from .joint_errors import MIN_OTHER_JOINTS, joint_errors


def joint_pck(pose_set: PoseSet, threshold: float = 0.1) -> np.ndarray:
    r"""PCK of each joint, with people that were missed as misses.

    A joint is found where the pose that :func:`.joint_errors` matches with
    its person, by the other joints, has it within
    :math:`\mathrm{threshold}\cdot\sqrt{area}` of the person. Joints of
    people whom no pose is matched with are not found. Not counted are joints
    without label, people to be ignored or without area, and joints with
    fewer than three other labelled ones in the person, which cannot be
    matched.

    Args:
        pose_set (PoseSet): Poses and annotated people.
        threshold (float): The distance over the square root of the area.
            Defaults to 0.1.

    Returns:
        np.ndarray: Shape (K,), 0 to 1, NaN for a joint that nobody has.
    """
    errors = joint_errors(pose_set).errors
    labelled = np.concatenate(
        [truth.keypoints[..., 2] > 0 for truth in pose_set.truths]
    )
    others = labelled.sum(1, keepdims=True) - labelled
    usable = np.concatenate(
        [~truth.ignored & (truth.areas > 0) for truth in pose_set.truths]
    )
    counted = labelled & (others >= MIN_OTHER_JOINTS) & usable[:, None]
    with np.errstate(invalid='ignore'):
        found = counted & (errors <= threshold)
        return found.sum(0) / counted.sum(0)
