"""Constants beside tensors of any device."""

from collections.abc import Sequence

import torch
from numpy.typing import ArrayLike
from torch import Tensor


def constant_like(
    values: ArrayLike, tensor: Tensor, dtype: torch.dtype | None = None
) -> Tensor:
    """Bring a few numbers to a tensor's device without waiting for it.

    ``tensor.new_tensor`` and an index that is a list wait until a GPU has
    done all that was asked of it before.

    Args:
        values (ArrayLike): The numbers.
        tensor (Tensor): Whose device they are wanted on.
        dtype (torch.dtype, optional): Of the result. Defaults to None: the
            tensor's.

    Returns:
        Tensor: The constant.
    """
    constant = torch.as_tensor(values, dtype=dtype or tensor.dtype)
    return constant.to(tensor.device, non_blocking=True)


def take_channels(values: Tensor, channels: Sequence[int]) -> Tensor:
    """Choose channels by a list, without waiting for the device.

    Args:
        values (Tensor): Values (B, C, ...).
        channels (Sequence[int]): The D channels wanted.

    Returns:
        Tensor: Values (B, D, ...).
    """
    return values.index_select(1, constant_like(channels, values, torch.int64))
