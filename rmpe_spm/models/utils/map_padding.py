"""Maps of images that were padded to the size of a batch."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ...structures.constants import constant_like


def check_map_size(
    map_size: tuple[int, int],
    batch_input_size: tuple[int, int],
    scale_factor: Sequence[float],
    owner: str,
) -> None:
    """Refuse maps of another stride than the codec's.

    Args:
        map_size (tuple[int, int]): Size of the maps (W, H), in cells.
        batch_input_size (tuple[int, int]): Size (w, h) of the images that
            they are of, with their padding, in pixels.
        scale_factor (Sequence[float]): Pixels per cell (x, y), of the codec.
        owner (str): Who asks, for the message.

    Raises:
        ValueError: If the maps differ by a cell or more.
    """
    expected = [
        pixels / stride
        for pixels, stride in zip(batch_input_size, scale_factor, strict=True)
    ]
    if any(
        abs(got - want) >= 1
        for got, want in zip(map_size, expected, strict=True)
    ):
        raise ValueError(
            f'{owner}: the network makes maps of '
            f'{map_size[0]}x{map_size[1]} cells of images of '
            f'{batch_input_size[0]}x{batch_input_size[1]} pixels, but the '
            f'codec has {scale_factor[0]:g}x{scale_factor[1]:g} pixels a '
            'cell: its input_size and heatmap_size are not those of this '
            'network'
        )


def mask_padding(
    heatmaps: Tensor,
    input_sizes: Sequence[tuple[int, int]],
    scale_factor: Sequence[float],
) -> Tensor:
    """Set heatmaps to 0 where their image was padded.

    Nobody is there, and what the network finds there would take up places
    among the candidates.

    Args:
        heatmaps (Tensor): (B, C, H, W).
        input_sizes (Sequence[tuple[int, int]]): Sizes (w, h) of the B images
            without their padding, in pixels.
        scale_factor (Sequence[float]): Pixels per cell (x, y).

    Returns:
        Tensor: The same shape; the same tensor where nothing is padded.
    """
    height, width = heatmaps.shape[-2:]
    limits = [
        [math.ceil(p / s) for p, s in zip(size, scale_factor, strict=True)]
        for size in input_sizes
    ]
    if all(x >= width and y >= height for x, y in limits):
        return heatmaps
    x_end, y_end = constant_like(limits, heatmaps, torch.int64).unbind(1)
    x = torch.arange(width, device=heatmaps.device)
    y = torch.arange(height, device=heatmaps.device)
    inside_x, inside_y = x < x_end[:, None], y < y_end[:, None]
    inside = inside_y[:, None, :, None] & inside_x[:, None, None, :]
    return torch.where(inside, heatmaps, 0)
