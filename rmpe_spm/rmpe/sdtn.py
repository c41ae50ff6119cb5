"""The SDTN on the outputs of any mmpose top-down head.

A head that was given the STN's crop predicts in the STN's frame. Here its
outputs are brought back to the crop's frame, whatever their form:

- heatmaps ``(B, K, H, W)``, also in nested lists (stages, units): sampled at
  gamma, as in RMPE (eq. 2); UDP's offset maps are turned with the linear
  part too;
- normalised coordinates ``(B, K, 2)``, or ``(B, K, 4)`` with RLE's sigmas:
  transformed exactly by theta; the sigmas are taken as those of the crop;
- SimCC vectors, a pair of ``(B, K, L)``: sampled along each axis, exact for
  transforms that do not mix the axes (``transform='scale_shift'``).

Convention:
    theta maps the STN's frame to the crop's, in normalised units
    (:mod:`.theta`). Cell ``u`` of a map lies at input pixel ``u * w / W``,
    with UDP codecs at ``u * (w - 1) / (W - 1)``, with MegviiHeatmap at
    ``(u + 0.5) * w / W``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmpose.codecs import MegviiHeatmap, UDPHeatmap
from torch import Tensor

from ..tensors import tensor_on_device_of
from .spatial_transformer import transform_points, warp, warp_vectors
from .theta import invert_theta, normalized_to_pixel_theta, rescale_theta

# Beside what the STN saw: codecs divide by a map's maximum, and the gradient
# of DSNT's loss is not finite at zero.
NEXT_TO_NOTHING = 1e-12


@dataclass(frozen=True)
class CropFrame:
    """How a head's outputs relate to the pixels of its input crop.

    ``size`` (w, h) is in pixels. ``udp``: cells are spaced from the centre of
    the first pixel to that of the last. ``offsets``: maps come in threes,
    score, x and y offset (UDP's ``'combined'``). ``half_cell``: a cell stands
    for its middle, as in MegviiHeatmap.
    """

    size: tuple[int, int]
    udp: bool = False
    offsets: bool = False
    half_cell: bool = False

    @classmethod
    def of_decoder(cls, decoder: Any) -> 'CropFrame':
        """Read the frame from a head's codec, its ``decoder``."""
        # of integral regression the codec of its coordinates has it
        codec = getattr(decoder, 'keypoint_codec', decoder)
        size = getattr(codec, 'input_size', None)
        if size is None:
            raise ValueError(
                'the SDTN needs the size of the crop: give the head a '
                f'`decoder=` whose codec has an `input_size`, not {decoder}'
            )
        udp = isinstance(decoder, UDPHeatmap)
        offsets = udp and decoder.heatmap_type == 'combined'
        half_cell = isinstance(decoder, MegviiHeatmap)
        return cls((int(size[0]), int(size[1])), udp, offsets, half_cell)

    def cell_size(self, grid_size: tuple[int, int]) -> tuple[float, float]:
        """Return the pixels ``(x, y)`` from one cell to the next."""
        end = int(self.udp)
        return tuple(
            (n - end) / max(cells - end, 1)
            for n, cells in zip(self.size, grid_size, strict=True)
        )

    def theta_on(self, theta: Tensor, maps: Tensor) -> Tensor:
        """Express theta in the normalised units of maps ``(..., H, W)``.

        A map whose cells ``u`` lie at pixels ``u * w / W`` ends before pixel
        ``w - 1``: its normalised units are not the crop's. The result is the
        same transform in pixels. In UDP it is theta itself.
        """
        grid_size = (maps.shape[-1], maps.shape[-2])
        cell_size = self.cell_size(grid_size)
        half = tuple((n - 1) / 2 for n in self.size)
        half_map = tuple(
            (n - 1) / 2 * c for n, c in zip(grid_size, cell_size, strict=True)
        )
        first = (c / 2 if self.half_cell else 0.0 for c in cell_size)
        middle = tuple(map(sum, zip(half_map, first, strict=True)))
        return rescale_theta(theta, (half, half), (half_map, middle))

    def cells_to_pixels(self, cells: Tensor, maps: Tensor) -> Tensor:
        """Return the pixels of cells ``(..., 2)``, x and y, of maps."""
        cell_size = self.cell_size((maps.shape[-1], maps.shape[-2]))
        cell_size = tensor_on_device_of(cell_size, cells)
        return (cells + 0.5 * self.half_cell) * cell_size

    def normalize(self, pixels: Tensor) -> Tensor:
        """Express pixels ``(..., 2)`` in normalised units of the crop."""
        half = (tensor_on_device_of(self.size, pixels) - 1) / 2
        return (pixels - half) / half


def sdtn_outputs(outputs: Any, theta: Tensor, frame: CropFrame) -> Any:
    """Bring the outputs of a head's ``forward`` back to the crop's frame.

    These are heatmaps, coordinates, SimCC vectors (see the module), or tuples
    and lists of them: the same in the same form, in float32 at least.

    Raises:
        TypeError: If an output has none of these forms.
    """
    if isinstance(outputs, Tensor):
        outputs = at_least_float32(outputs)
        if outputs.dim() == 4:
            return _sdtn_heatmaps(outputs, theta, frame)
        if outputs.dim() == 3 and outputs.shape[-1] in (2, 4):
            return _sdtn_coordinates(outputs, theta, frame)
    elif isinstance(outputs, (tuple, list)):
        if is_simcc(outputs):
            return sdtn_vectors(outputs, theta, frame)
        return type(outputs)(sdtn_outputs(o, theta, frame) for o in outputs)
    raise TypeError(
        'the SDTN takes heatmaps (B, K, H, W), coordinates (B, K, 2 or 4) and '
        'pairs of SimCC vectors, but the head gives a '
        f'{type(outputs).__name__} {tuple(getattr(outputs, "shape", ()))}'
    )


def is_simcc(outputs: Any) -> bool:
    """Tell whether outputs are a pair of SimCC vectors ``(B, K, L)``."""
    return (
        isinstance(outputs, (tuple, list))
        and len(outputs) == 2
        and all(
            isinstance(o, Tensor) and o.dim() == 3 and o.shape[-1] > 4
            for o in outputs
        )
    )


def at_least_float32(outputs: Any) -> Any:
    """Cast tensors, also in tuples and lists, to float32 or float64."""
    if isinstance(outputs, Tensor):
        return outputs.to(torch.promote_types(outputs.dtype, torch.float32))
    return type(outputs)(map(at_least_float32, outputs))


def _sdtn_heatmaps(heatmaps: Tensor, theta: Tensor, frame: CropFrame):
    """Sample heatmaps ``(B, C, H, W)`` at gamma."""
    heatmaps = warp(heatmaps, invert_theta(frame.theta_on(theta, heatmaps)))
    if not frame.offsets:
        return heatmaps + NEXT_TO_NOTHING
    # Offsets are vectors in cells: turn and scale them as the map itself.
    cell_x, cell_y = frame.cell_size((heatmaps.shape[-1], heatmaps.shape[-2]))
    linear = normalized_to_pixel_theta(theta, frame.size)[..., :2]
    linear = linear * tensor_on_device_of(
        [[1.0, cell_y / cell_x], [cell_x / cell_y, 1.0]], linear
    )
    score, dx, dy = heatmaps.unflatten(1, (-1, 3)).unbind(2)
    a, b, c, d = (
        linear[:, i, j, None, None, None].to(dx.dtype)
        for i in (0, 1)
        for j in (0, 1)
    )
    maps = (score, a * dx + b * dy, c * dx + d * dy)
    return torch.stack(maps, 2).flatten(1, 2)


def _sdtn_coordinates(coords: Tensor, theta: Tensor, frame: CropFrame):
    """Transform coordinates ``(B, K, 2 or 4)`` in units of the crop."""
    size = tensor_on_device_of(frame.size, coords)
    theta = normalized_to_pixel_theta(theta, frame.size)
    xy = transform_points(theta, coords[..., :2] * size) / size
    return torch.cat((xy, coords[..., 2:]), -1)


def sdtn_vectors(vectors: Sequence[Tensor], theta: Tensor, frame: CropFrame):
    """Sample a pair of SimCC vectors ``(B, K, L)`` along their axes."""
    gamma = invert_theta(normalized_to_pixel_theta(theta, frame.size))
    out = []
    for axis, vector in enumerate(vectors):
        vector = at_least_float32(vector)
        bins_per_pixel = vector.shape[-1] / frame.size[axis]
        shift = gamma[:, axis, 2] * bins_per_pixel
        out.append(warp_vectors(vector, gamma[:, axis, axis], shift))
    return type(vectors)(out)


def sdtn_keypoints(
    keypoints: np.ndarray, theta_px: np.ndarray, frame: CropFrame
) -> np.ndarray:
    """Bring decoded keypoints ``(..., D)`` back to the crop's frame, exactly.

    They are in input pixels as mmpose's codecs decode them, UDP's in
    ``w / (w - 1)`` times the pixel; ``theta_px`` is one transform in pixels.
    """
    size = np.asarray(frame.size, dtype=np.float64)
    scale = size / np.maximum(size - 1, 1) if frame.udp else np.ones(2)
    out = keypoints.copy()
    xy = keypoints[..., :2] / scale
    out[..., :2] = (xy @ theta_px[:, :2].T + theta_px[:, 2]) * scale
    return out


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
