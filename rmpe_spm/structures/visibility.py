"""Which joints are labelled."""

import numpy as np


def visibility_flags(keypoints_visible: np.ndarray) -> np.ndarray:
    """Read the flags of joints, with or without their weights.

    Args:
        keypoints_visible (np.ndarray): Flags (N, K), or flags and weights
            (N, K, 2) as mmpose's ``KeypointConverter`` gives them.

    Returns:
        np.ndarray: Flags (N, K), above 0 where the joint is labelled; a view.
    """
    if keypoints_visible.ndim == 2:
        return keypoints_visible
    return keypoints_visible[..., 0]
