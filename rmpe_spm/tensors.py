"""Numbers on any device, and feature levels on one grid."""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor


def check_levels(sizes: Sequence[tuple[int, int]], owner: str) -> None:
    """Refuse levels whose cells don't lie on those of the finest one.

    A backbone halves width and height from level to level, rounding up, so a
    size (H, W) that does not divide gives other ratios than powers of two, or
    another one along x than along y: a ValueError for ``owner``.
    """
    finest = tuple(sizes[0])
    ratios = [
        max(f / c for f, c in zip(finest, size, strict=True)) for size in sizes
    ]
    strides = [2 ** math.ceil(math.log2(max(ratio, 1))) for ratio in ratios]
    for size, stride in zip(sizes, strides, strict=True):
        if tuple(side * stride for side in size) != finest:
            raise ValueError(
                f'{owner}: features of (H, W) = {tuple(size)} do not fit on '
                f'those of {finest}: width and height of the input must be '
                f"multiples of {max(strides)} times the finest level's "
                'stride, which usually makes 32 pixels (size_factor in '
                'BottomupResize, or input_size)'
            )


def upsample_level(coarse: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize a level (B, C, h, w) to a finer one's (H, W), bilinearly."""
    return F.interpolate(coarse, size=tuple(size), mode='bilinear')


def add_levels(feats: Sequence[Tensor], owner: str) -> Tensor:
    """Add levels (B, C, h, w), all resized to the first one's size."""
    check_levels([feat.shape[-2:] for feat in feats], owner)
    total = feats[0]
    for feature in feats[1:]:
        total = total + upsample_level(feature, total.shape[-2:])
    return total


def tensor_on_device_of(
    values: ArrayLike, tensor: Tensor, dtype: torch.dtype | None = None
) -> Tensor:
    """Bring a few numbers to a tensor's device without waiting for it.

    ``tensor.new_tensor`` and an index that is a list wait until a GPU has
    done all that was asked of it before.
    """
    constant = torch.as_tensor(values, dtype=dtype or tensor.dtype)
    return constant.to(tensor.device, non_blocking=True)


def without_autocast(tensor: Tensor) -> AbstractContextManager:
    """Keep autocast from lowering the precision on a tensor's device."""
    device = tensor.device.type
    if not torch.amp.is_autocast_available(device):
        return nullcontext()
    return torch.autocast(device, enabled=False)


def take_channels(values: Tensor, channels: Sequence[int]) -> Tensor:
    """Choose D of C channels (B, C, ...) without waiting for the device."""
    return values.index_select(
        1, tensor_on_device_of(channels, values, torch.int64)
    )
