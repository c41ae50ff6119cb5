"""Candidate poses of a batch in tensors of fixed shape."""

from typing import NamedTuple

from torch import Tensor


class PaddedPoses(NamedTuple):
    """Decoded candidates of a batch, ``M`` for each image.

    Attributes:
        keypoints (Tensor): (B, M, K, 2) in input pixels, float32.
        root_scores (Tensor): (B, M), float32, those of poses descending.
        keypoint_scores (Tensor): (B, M, K), float32.
        valid (Tensor): (B, M) bool, the candidates that are poses. They come
            before the others.
        finite (Tensor): (B,) bool, whether the image's maps had neither NaN
            nor infinity. An image that is not finite has no valid pose.
    """

    keypoints: Tensor
    root_scores: Tensor
    keypoint_scores: Tensor
    valid: Tensor
    finite: Tensor
