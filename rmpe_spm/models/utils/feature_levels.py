"""Levels of a backbone on one grid."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor


def upsample_level(
    coarse: Tensor, size: tuple[int, int], owner: str
) -> Tensor:
    """Resize a level to the size of a finer one, bilinearly.

    Args:
        coarse (Tensor): Features (B, C, h, w).
        size (tuple[int, int]): (H, W) of the finer level.
        owner (str): Who asks, for the message.

    Returns:
        Tensor: Features (B, C, H, W).

    Raises:
        ValueError: If h does not divide H or w not W. The cells of the coarse
            level would lie beside those of the fine one.
    """
    coarse_size = tuple(coarse.shape[-2:])
    size = tuple(size)
    if any(f % c for f, c in zip(size, coarse_size, strict=True)):
        ratio = max(-(-f // c) for f, c in zip(size, coarse_size, strict=True))
        raise ValueError(
            f'{owner}: features of (H, W) = {coarse_size} cannot be added to '
            f'those of {size}: width and height of the input must be '
            f"multiples of {ratio} times the first level's stride"
        )
    return F.interpolate(coarse, size=size, mode='bilinear')


def add_levels(feats: Sequence[Tensor], owner: str) -> Tensor:
    """Add levels, all resized to the first one's size.

    Args:
        feats (Sequence[Tensor]): Features (B, C, h, w), the finest first.
        owner (str): Who asks, for the message.

    Returns:
        Tensor: Their sum (B, C, H, W).

    Raises:
        ValueError: As :func:`upsample_level`.
    """
    total = feats[0]
    for feature in feats[1:]:
        total = total + upsample_level(feature, total.shape[2:], owner)
    return total
