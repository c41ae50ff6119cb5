"""Boxes that poses give."""

import numpy as np


def bboxes_around(keypoints: np.ndarray) -> np.ndarray:
    """Give the extents of the joints of poses.

    Args:
        keypoints (np.ndarray): The keypoints (N, K, 2), K at least 1; one
            that is NaN makes the box of its pose NaN

    Returns:
        np.ndarray: Boxes (N, 4) in xyxy, in the unit and dtype of the
        keypoints.
    """
    # numpy is several times slower along an axis between two others
    joints = np.ascontiguousarray(keypoints.swapaxes(0, 1))
    return np.concatenate((joints.min(axis=0), joints.max(axis=0)), axis=1)
