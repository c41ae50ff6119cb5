"""The SDTN on the outputs of any mmpose top-down head.

A head that was given the STN's crop predicts in the STN's frame. Here its
outputs are brought back to the crop's frame, whatever their form:

- heatmaps ``(B, K, H, W)``, also in nested lists (stages, units): sampled at
  gamma, as in RMPE; UDP's offset maps are turned with the linear part too;
- normalised coordinates ``(B, K, 2)``, or ``(B, K, 4)`` with RLE's sigmas:
  transformed exactly by theta; the sigmas are taken as those of the crop;
- SimCC vectors, a pair of ``(B, K, L)``: sampled along each axis, exact for
  transforms that do not mix the axes (``transform='scale_shift'``).

Convention:
    theta maps the STN's frame to the crop's, in normalised units
    (:mod:`.spatial_transformer`). Cell ``u`` of a map lies at input pixel
    ``u * w / W``, with UDP codecs at ``u * (w - 1) / (W - 1)``, with
    MegviiHeatmap at ``(u + 0.5) * w / W``.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmengine.structures import InstanceData, PixelData
from mmpose.codecs import MegviiHeatmap, UDPHeatmap
from torch import Tensor, nn

from ..tensors import tensor_on_device_of
from .spatial_transformer import transform_points, warp, warp_vectors
from .theta import (
    invert_theta,
    mirror_theta,
    normalized_to_pixel_theta,
    theta_on_grid,
)


@contextmanager
def changed_forward(
    head: nn.Module, change: Callable[[Any], Any]
) -> Iterator[None]:
    """Make a head's ``forward`` return what a function makes of its outputs.

    Inside the context the head's own ``loss`` and ``predict``, which call
    ``forward`` and no hooks, see these outputs.

    Args:
        head (nn.Module): The head.
        change (Callable): From the outputs of a call to what takes their
            place.

    Yields:
        None: The context.
    """
    forward, shadowed = head.forward, head.__dict__.get('forward')
    head.forward = lambda *args, **kwargs: change(forward(*args, **kwargs))
    try:
        yield
    finally:
        if shadowed is None:
            head.__dict__.pop('forward', None)
        else:
            head.forward = shadowed


SDTN_MODES = ('coordinates', 'heatmaps')

# Theta was guarded by SSTNHead, with its own smallest determinant; the inverse
# must not draw another line.
_GUARDED = torch.finfo(torch.float32).tiny


@dataclass(frozen=True)
class CropFrame:
    """How a head's outputs relate to the pixels of its input crop.

    Attributes:
        size (tuple[int, int]): Size ``(w, h)`` of the crop in pixels.
        udp (bool): Whether cells are spaced as in UDP, from the centre of
            the first pixel to that of the last. Defaults to False.
        offsets (bool): Whether maps come in threes: score, x and y offset
            (UDP's ``'combined'`` heatmaps). Defaults to False.
        half_cell (bool): Whether a cell stands for its middle, as in
            MegviiHeatmap: cell u for the pixel ``(u + 0.5) * w / W``.
            Defaults to False.
    """

    size: tuple[int, int]
    udp: bool = False
    offsets: bool = False
    half_cell: bool = False

    @classmethod
    def of_decoder(cls, decoder: Any) -> 'CropFrame':
        """Read the frame from a head's codec.

        Args:
            decoder (BaseKeypointCodec): The head's ``decoder``.

        Returns:
            CropFrame: The frame.

        Raises:
            ValueError: If the head has no decoder, or one without an
                ``input_size``.
        """
        # of integral regression the codec of its coordinates has it
        codec = getattr(decoder, 'keypoint_codec', decoder)
        size = getattr(codec, 'input_size', None)
        if size is None:
            lacks = 'it has no decoder'
            if decoder is not None:
                lacks = f'{type(decoder).__name__} has none'
            raise ValueError(
                'the SDTN needs the size of the crop: give the head a '
                f'`decoder=` whose codec has an `input_size`, {lacks}'
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
        """Express theta in the normalised units of maps ``(..., H, W)``."""
        grid_size = (maps.shape[-1], maps.shape[-2])
        cell_size = self.cell_size(grid_size)
        first = tuple(n / 2 if self.half_cell else 0.0 for n in cell_size)
        return theta_on_grid(theta, self.size, grid_size, cell_size, first)


def keypoint_head(head: nn.Module) -> nn.Module:
    """Return the head that predicts keypoints.

    Args:
        head (nn.Module): A head of mmpose.

    Returns:
        nn.Module: The head inside mmpose's ``VisPredictHead``, which adds
        the joints' visibility to it; any other head itself.
    """
    return getattr(head, 'pose_head', head)


def forward_in_crop(
    head: nn.Module, feats: Any, theta: Tensor, frame: CropFrame
) -> Any:
    """Return a head's outputs from features of the STN's crop.

    Args:
        head (nn.Module): A head of mmpose.
        feats (Any): Its features.
        theta (Tensor): Transforms ``(B, 2, 3)``, invertible.
        frame (CropFrame): The crop.

    Returns:
        Any: What ``head.forward`` returns, in the crop's frame; visibility
        is the same in every frame.
    """
    outputs = head.forward(feats)
    if keypoint_head(head) is head:
        return sdtn_outputs(outputs, theta, frame)
    keypoints, visibility = outputs
    return sdtn_outputs(keypoints, theta, frame), visibility


def sdtn_outputs(outputs: Any, theta: Tensor, frame: CropFrame) -> Any:
    """Bring the outputs of a head's ``forward`` back to the crop's frame.

    Args:
        outputs (Any): Heatmaps, coordinates, SimCC vectors (see the
            module), or tuples and lists of them.
        theta (Tensor): Transforms ``(B, 2, 3)``, invertible.
        frame (CropFrame): The crop and its relation to the outputs.

    Returns:
        Any: The outputs in the same form, in float32 at least.

    Raises:
        TypeError: If an output has none of the forms above.
    """
    if isinstance(outputs, Tensor):
        outputs = _at_least_float32(outputs)
        if outputs.dim() == 4:
            return _sdtn_heatmaps(outputs, theta, frame)
        if outputs.dim() == 3 and outputs.shape[-1] in (2, 4):
            return _sdtn_coordinates(outputs, theta, frame)
        raise TypeError(
            'the SDTN takes heatmaps (B, K, H, W), coordinates (B, K, 2 or '
            f'4) or a pair of SimCC vectors, got {tuple(outputs.shape)}'
        )
    if not isinstance(outputs, (tuple, list)):
        raise TypeError(
            f'the SDTN cannot transform outputs of {type(outputs).__name__}'
        )
    if len(outputs) == 2 and all(
        isinstance(o, Tensor) and o.dim() == 3 and o.shape[-1] > 4
        for o in outputs
    ):
        return _sdtn_vectors(outputs, theta, frame)
    return type(outputs)(sdtn_outputs(o, theta, frame) for o in outputs)


def _at_least_float32(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _sdtn_heatmaps(heatmaps: Tensor, theta: Tensor, frame: CropFrame):
    """Sample heatmaps ``(B, C, H, W)`` at gamma (RMPE, eq. 2)."""
    gamma, _ = invert_theta(frame.theta_on(theta, heatmaps), _GUARDED)
    heatmaps = warp(heatmaps, gamma)
    if not frame.offsets:
        return heatmaps
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


def _sdtn_vectors(vectors: Sequence[Tensor], theta: Tensor, frame: CropFrame):
    """Sample a pair of SimCC vectors ``(B, K, L)`` along their axes."""
    gamma, _ = invert_theta(
        normalized_to_pixel_theta(theta, frame.size), _GUARDED
    )
    out = []
    for axis, vector in enumerate(vectors):
        vector = _at_least_float32(vector)
        bins_per_pixel = vector.shape[-1] / frame.size[axis]
        shift = gamma[:, axis, 2] * bins_per_pixel
        out.append(warp_vectors(vector, gamma[:, axis, axis], shift))
    return type(vectors)(out)


def sdtn_keypoints(
    keypoints: np.ndarray, theta_px: np.ndarray, frame: CropFrame
) -> np.ndarray:
    """Bring decoded keypoints back to the crop's frame, exactly.

    Args:
        keypoints (np.ndarray): Keypoints ``(..., D)`` in input pixels as
            mmpose's codecs decode them.
        theta_px (np.ndarray): One transform ``(2, 3)`` in pixels.
        frame (CropFrame): The crop. UDP codecs decode to ``w / (w - 1)``
            times the pixel.

    Returns:
        np.ndarray: Keypoints of the same shape and dtype.
    """
    size = np.asarray(frame.size, dtype=np.float64)
    scale = size / np.maximum(size - 1, 1) if frame.udp else np.ones(2)
    out = keypoints.copy()
    xy = keypoints[..., :2] / scale
    out[..., :2] = (xy @ theta_px[:, :2].T + theta_px[:, 2]) * scale
    return out


def sdtn_on_forward(
    head: nn.Module, thetas: Sequence[Tensor], frame: CropFrame
) -> AbstractContextManager[None]:
    """Make a head's ``forward`` return outputs in the crop's frame.

    Inside the context the head's own ``loss`` and ``predict`` see outputs
    that went through the SDTN, so any head works without a change.

    Args:
        head (nn.Module): The head, or the one around it that predicts
            visibility too.
        thetas (Sequence[Tensor]): Transforms ``(B, 2, 3)`` of the first,
            second, ... call of ``forward``; a flip test makes two.
        frame (CropFrame): The crop.

    Returns:
        AbstractContextManager: The context.
    """
    remaining = iter(thetas)
    return changed_forward(
        keypoint_head(head),
        lambda outputs: sdtn_outputs(outputs, next(remaining), frame),
    )


def predict_in_crop(
    head: nn.Module,
    feats: Any,
    data_samples: list,
    test_cfg: dict,
    theta: Tensor,
    frame: CropFrame,
) -> list[InstanceData] | tuple[list[InstanceData], list[PixelData]]:
    """Predict from features of the STN's crop, in the crop's frame.

    With ``test_cfg['sdtn'] == 'coordinates'`` the head decodes in the STN's
    frame and theta is applied to the keypoints: exact, and no second
    resampling. With ``'heatmaps'`` the SDTN acts on the outputs, as in the
    paper, before decoding.

    Args:
        head (nn.Module): A head of mmpose.
        feats (Any): Its features, or the pair of them in a flip test.
        data_samples (list): The batch's data samples.
        test_cfg (dict): The head's ``test_cfg``, with the key ``sdtn``.
        theta (Tensor): Transforms ``(B, 2, 3)``; in a flip test the
            mirrored crop was warped by :func:`mirror_theta` of them.
        frame (CropFrame): The crop.

    Returns:
        list[InstanceData] | tuple: What ``head.predict`` returns.
    """
    if test_cfg.get('sdtn', 'coordinates') == 'heatmaps':
        thetas = [theta, mirror_theta(theta)]
        with sdtn_on_forward(head, thetas, frame):
            return head.predict(feats, data_samples, test_cfg=test_cfg)

    preds = head.predict(feats, data_samples, test_cfg=test_cfg)
    preds, fields = preds if isinstance(preds, tuple) else (preds, None)
    theta_px = normalized_to_pixel_theta(theta, frame.size)
    theta_px = theta_px.detach().cpu().numpy()
    for index, pred in enumerate(preds):
        pred.keypoints = sdtn_keypoints(pred.keypoints, theta_px[index], frame)
        if 'keypoint_x_labels' in pred:  # SimCC's vectors, with the heatmaps
            keys = ('keypoint_x_labels', 'keypoint_y_labels')
            vectors = [torch.as_tensor(pred.get(key)) for key in keys]
            one = theta[index : index + 1].detach().cpu()
            moved = _sdtn_vectors(vectors, one, frame)
            for key, vector in zip(keys, moved, strict=True):
                pred.set_field(vector.numpy(), key)
    if fields is None:
        return preds
    for index, field in enumerate(fields):
        maps = field.heatmaps[None]
        one = theta[index : index + 1]
        field.heatmaps = _sdtn_heatmaps(maps, one, frame)[0]
    return preds, fields


def check_sdtn_mode(test_cfg: dict) -> None:
    """Check ``test_cfg['sdtn']``.

    Args:
        test_cfg (dict): A model's ``test_cfg``.

    Raises:
        ValueError: If the mode is unknown.
    """
    mode = test_cfg.get('sdtn', 'coordinates')
    if mode not in SDTN_MODES:
        raise ValueError(
            f'test_cfg: sdtn={mode!r} is unknown; choose one of {SDTN_MODES}'
        )
