"""Object keypoint similarity between poses."""

from collections.abc import Sequence

import numpy as np

# https://cocodataset.org/#keypoints-eval
COCO_SIGMAS = (
    0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062,
    0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089,
)  # fmt: skip


def resolve_sigmas(
    sigmas: Sequence[float] | None, num_keypoints: int
) -> np.ndarray:
    """The sigmas to use for a number of keypoints.

    Args:
        sigmas (sequence, optional): One for every keypoint. None stands for
            COCO's 17.
        num_keypoints (int): K.

    Returns:
        np.ndarray: Shape (K,), float64.

    Raises:
        ValueError: If their number is not K.
    """
    values = np.asarray(COCO_SIGMAS if sigmas is None else sigmas, float)
    if values.shape != (num_keypoints,):
        source = 'COCO has' if sigmas is None else 'sigmas has'
        raise ValueError(
            f'the poses have {num_keypoints} keypoints, but {source} '
            f'{values.size} sigmas: pass sigmas=[...] of the data set'
        )
    return values


def pose_oks(
    keypoints: np.ndarray,
    others: np.ndarray,
    area: np.ndarray,
    other_areas: np.ndarray,
    sigmas: np.ndarray,
) -> np.ndarray:
    r"""OKS of detected poses with one another, all their joints counted.

    .. math::
        \frac1K\sum_n \exp\frac{-\|k^n-l^n\|^2}{2 (2\sigma_n)^2 s^2},\quad
        s^2 = (a + a') / 2

    Joints without a finite position count as infinitely far away.

    Args:
        keypoints (np.ndarray): A pose (K, 2), or poses (N, K, 2), in pixels.
        others (np.ndarray): Poses (N, K, 2) in pixels.
        area (np.ndarray): Area of the pose or poses, in square pixels.
        other_areas (np.ndarray): Areas (N,) of the others.
        sigmas (np.ndarray): Shape (K,).

    Returns:
        np.ndarray: Shape (N,), in [0, 1].
    """
    squared = ((others - keypoints) ** 2).sum(-1)
    scale = (np.asarray(area) + other_areas) / 2 + np.spacing(1)
    exponent = squared / (scale[:, None] * (8 * sigmas**2))
    exponent[exponent != exponent] = np.inf
    return np.exp(-exponent).mean(-1)
