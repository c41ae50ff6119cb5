"""Candidate poses of a batch in tensors of fixed shape."""

from typing import NamedTuple

import torch
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


def valid_first(poses: PaddedPoses) -> PaddedPoses:
    """Sort each image's candidates: valid ones first, best first.

    Args:
        poses (PaddedPoses): Candidates in any order.

    Returns:
        PaddedPoses: The same, those of equal scores in their order.
    """
    keys = poses.root_scores.masked_fill(~poses.valid, -torch.inf)
    order = keys.argsort(dim=1, descending=True, stable=True)

    def take(values: Tensor) -> Tensor:
        index = order.reshape(*order.shape, *[1] * (values.dim() - 2))
        return values.take_along_dim(index, dim=1)

    keypoints, root_scores, keypoint_scores, valid = map(take, poses[:4])
    return PaddedPoses(
        keypoints, root_scores, keypoint_scores, valid, poses.finite
    )
