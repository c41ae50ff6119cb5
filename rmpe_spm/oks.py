"""Object keypoint similarity between poses."""

from collections.abc import Sequence

import numpy as np

from .errors import ConfigError

# https://cocodataset.org/#keypoints-eval
COCO_SIGMAS = (
    0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062,
    0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089,
)  # fmt: skip


def resolve_sigmas(
    sigmas: Sequence[float] | None, num_keypoints: int
) -> np.ndarray:
    """Return sigmas (K,), COCO's 17 for None.

    Raises:
        ConfigError: Their number is not K, or one is not positive.
    """
    values = np.asarray(COCO_SIGMAS if sigmas is None else sigmas, float)
    if values.shape != (num_keypoints,):
        source = 'COCO has' if sigmas is None else 'sigmas has'
        raise ConfigError(
            f'the poses have {num_keypoints} keypoints, but {source} '
            f'{values.size} sigmas: pass sigmas=[...] of the data set'
        )
    check_sigmas(values)
    return values


def check_sigmas(sigmas: Sequence[float]) -> None:
    """Raise a ConfigError for a sigma by which OKS is not defined."""
    for joint, sigma in enumerate(sigmas):
        if not 0 < sigma < np.inf:
            raise ConfigError(
                f'the sigma of joint {joint} is {sigma}, not a positive '
                "number: correct it in the data set's metainfo"
            )


def pose_oks(
    keypoints: np.ndarray,
    others: np.ndarray,
    area: np.ndarray,
    other_areas: np.ndarray,
    sigmas: np.ndarray,
) -> np.ndarray:
    r"""OKS (N,) of poses (N, K, 2) with others, all their joints counted.

    .. math::
        \frac1K\sum_n \exp\frac{-\|k^n-l^n\|^2}{2 (2\sigma_n)^2 s^2},\quad
        s^2 = (a + a') / 2

    Joints without a finite position count as infinitely far away. Areas are
    in square pixels, sigmas (K,).
    """
    offset = others - keypoints
    squared = offset[..., 0] ** 2 + offset[..., 1] ** 2
    scale = (np.asarray(area) + other_areas) / 2 + np.spacing(1)
    exponent = squared / (scale[:, None] * (8 * sigmas**2))
    exponent[exponent != exponent] = np.inf
    return np.exp(-exponent).mean(-1)


def annotated_oks(
    keypoints: np.ndarray,
    annotated: np.ndarray,
    labelled: np.ndarray,
    bboxes_xywh: np.ndarray,
    areas: np.ndarray,
    sigmas: np.ndarray,
) -> np.ndarray:
    r"""OKS (M,) of detected poses with annotated people, as COCO defines it.

    .. math::
        \frac1{|L|}\sum_{n\in L} \exp\frac{-\|k^n-l^n\|^2}
        {2 (2\sigma_n)^2 a}

    over the labelled joints L. For people without any it is the distance to
    a box of thrice the size of theirs that counts, for all joints. The
    numbers are those of xtcocotools to the last bit, for the order of the
    sums is the same. Poses and people are (M, K, 2), one beside the other.
    """
    offset = keypoints - annotated
    numbers = labelled.sum(1)
    nobody = numbers == 0
    if nobody.any():
        boxes = bboxes_xywh[nobody, None]
        corner, size = boxes[..., :2], boxes[..., 2:]
        points = keypoints[nobody]
        offset[nobody] = np.maximum(corner - size - points, 0)
        offset[nobody] += np.maximum(points - (corner + size * 2), 0)
        labelled = labelled | nobody[:, None]
        numbers = np.where(nobody, labelled.shape[1], numbers)
    exponent = (offset[..., 0] ** 2 + offset[..., 1] ** 2) / (sigmas * 2) ** 2
    similarity = np.exp(-(exponent / (areas + np.spacing(1))[:, None] / 2))
    result = np.zeros(len(keypoints))
    for number in np.unique(numbers):
        rows = numbers == number
        terms = similarity[rows][labelled[rows]].reshape(-1, number)
        result[rows] = terms.sum(1) / number
    return result
