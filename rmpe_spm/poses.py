"""Joints and boxes of poses as plain arrays."""

from typing import Union

import numpy as np

try:
    import torch
    from torch import Tensor
except ImportError:  # beside an exported model numpy is enough
    torch = None

    class Tensor:
        """Of which there is none without PyTorch."""


Array = Union[np.ndarray, Tensor]


def visibility_flags(keypoints_visible: np.ndarray) -> np.ndarray:
    """Read flags (N, K), above 0 where labelled, beside weights or alone."""
    if keypoints_visible.ndim == 2:
        return keypoints_visible
    return keypoints_visible[..., 0]


def present_joints(keypoints: Array, keypoint_scores: Array) -> Array:
    """Tell which joints (N, K) poses (N, K, 2) have, by numpy or torch.

    A joint is missing when a coordinate is not finite, or when it has
    COCO's mark for it: x = y = 0 with score 0.
    """
    xp = torch if isinstance(keypoints, Tensor) else np
    x, y = keypoints[..., 0], keypoints[..., 1]
    marked = (x == 0) & (y == 0) & ~(keypoint_scores > 0)
    return xp.isfinite(x) & xp.isfinite(y) & ~marked


def bboxes_around(
    keypoints: np.ndarray, keypoint_scores: np.ndarray | None = None
) -> np.ndarray:
    """Return the extents (N, 4) in xyxy of the joints of poses (N, K, 2).

    With scores (N, K) joints that are not :func:`present_joints` are left out,
    and a pose without any gets the box (0, 0, 0, 0).

    Example:
        >>> bboxes_around(np.array([[[3.0, 4], [1, 9], [2, 5]]]))
        array([[1., 4., 3., 9.]])
    """
    # numpy is several times slower along an axis between two others
    joints = np.ascontiguousarray(keypoints.swapaxes(0, 1))
    low = high = joints
    if keypoint_scores is not None:
        present = present_joints(keypoints, keypoint_scores).T[..., None]
        if not present.all():
            low = np.where(present, joints, np.inf)
            high = np.where(present, joints, -np.inf)
    boxes = np.concatenate((low.min(axis=0), high.max(axis=0)), axis=1)
    if low is not joints:
        boxes[~present.any(axis=0)[:, 0]] = 0
    return boxes.astype(keypoints.dtype, copy=False)


def clean_scores(keypoint_scores: Array) -> Array:
    """Scores in float64, with NaN, infinite and negative ones set to 0."""
    if isinstance(keypoint_scores, Tensor):
        scores = keypoint_scores.double()
        return scores.nan_to_num(0.0, 0.0, 0.0).clamp(min=0)
    scores = np.asarray(keypoint_scores, dtype=np.float64)
    return np.where((scores > 0) & (scores < np.inf), scores, 0.0)
