"""Where a head's outputs have the joints, and how sure it is of them.

Convention:
    Locations are in pixels ``(x, y)`` of the head's input crop,
    :class:`.CropFrame` tells which cell lies at which.
"""

from typing import Any

import torch
from torch import Tensor

from ..tensors import tensor_on_device_of
from .sdtn import CropFrame, at_least_float32, is_simcc

# Weights of the cells are their heatmap's values to this power: two peaks
# are told apart, and a peak is still found between its cells.
SHARPNESS = 8


def joint_locations(outputs: Any, frame: CropFrame) -> tuple[Tensor, Tensor]:
    """Read joints off the outputs of a head's ``forward``.

    Heatmaps by :func:`soft_argmax`, coordinates, or pairs of SimCC vectors by
    their maxima; of several stages the last counts. Gives locations
    ``(B, K, 2)`` in pixels of the crop and confidences ``(B, K)`` from 0 to 1.
    """
    if is_simcc(outputs):
        peaks = [at_least_float32(vector).max(-1) for vector in outputs]
        xy = torch.stack(
            [
                peak.indices * (size / vector.shape[-1])
                for peak, vector, size in zip(
                    peaks, outputs, frame.size, strict=True
                )
            ],
            -1,
        )
        confidence = torch.minimum(*(peak.values for peak in peaks))
        return xy, confidence.clamp(0, 1)
    if not isinstance(outputs, Tensor):
        return joint_locations(outputs[-1], frame)
    outputs = at_least_float32(outputs)
    if outputs.dim() == 3:
        xy = outputs[..., :2] * tensor_on_device_of(frame.size, outputs)
        return xy, torch.ones_like(xy[..., 0])
    cells, confidence = soft_argmax(outputs[:, :: 3 if frame.offsets else 1])
    return frame.cells_to_pixels(cells, outputs), confidence


def soft_argmax(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """Find the peaks of heatmaps ``(B, K, H, W)``, differentiably.

    These are mean cells ``(B, K, 2)``, weighted by the values to the power of
    8, with the peaks' values ``(B, K)`` from 0 to 1. Where nothing is above
    zero they are the map's middle and 0.

    Example:
        >>> heatmaps = torch.zeros(1, 1, 4, 6)
        >>> heatmaps[0, 0, 2, 3:5] = 0.7
        >>> soft_argmax(heatmaps)
        (tensor([[[3.5000, 2.0000]]]), tensor([[0.7000]]))
    """
    values = heatmaps.clamp(min=0)
    peaks = values.amax((-2, -1))
    values = (values + 1e-6) / (peaks[..., None, None] + 1e-6)
    weights = values**SHARPNESS
    weights = weights / weights.sum((-2, -1), keepdim=True)
    height, width = heatmaps.shape[-2:]
    xs = torch.arange(width, device=weights.device, dtype=weights.dtype)
    ys = torch.arange(height, device=weights.device, dtype=weights.dtype)
    x = (weights.sum(-2) * xs).sum(-1)
    y = (weights.sum(-1) * ys).sum(-1)
    return torch.stack((x, y), -1), peaks.clamp(max=1)
