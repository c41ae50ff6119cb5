"""Networks as they are exported: from pixels to poses, decoding included.

The inputs are what a camera or a file gives, uint8 in OpenCV's order (BGR);
colours, mean and standard deviation are the network's own business.
"""

from typing import Any

import cv2
import torch
import torch.nn.functional as F
from mmpose.codecs import MSRAHeatmap, UDPHeatmap
from torch import Tensor, nn

from ..errors import ConfigError
from ..rmpe.parallel_sppe import ParallelSPPE
from ..rmpe.sdtn import CropFrame, sdtn_outputs
from ..rmpe.sstn_head import SSTNHead
from ..rmpe.theta import normalized_to_pixel_theta


class ExportedSPM(nn.Module):
    """An SPM whose output is poses."""

    inputs = ('images', 'regions')
    outputs = ('keypoints', 'keypoint_scores', 'scores')

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, regions: Tensor) -> tuple[Tensor, ...]:
        """Predict from pictures (B, H, W, 3), uint8.

        ``regions`` (B, 4), xyxy, say where each shows its picture; padding is
        beside it. Gives for M candidates, best root first, keypoints
        (B, M, K, 2) in pixels, their scores, and the roots', 0 for nobody.
        """
        head = self.model.head
        feats = self.model.extract_feat(_normalized(self.model, images))
        heatmaps, displacements = head.forward(feats)
        stride = [float(side) for side in head.decoder.scale_factor]
        heatmaps = _mask_padding(heatmaps, regions, stride)
        poses = head.decode_maps(
            (heatmaps, displacements), self.model.test_cfg
        )
        scores = torch.where(poses.valid, poses.root_scores, 0.0)
        return poses.keypoints, poses.keypoint_scores, scores


class ExportedTopdown(nn.Module):
    """A top-down model whose output is poses; RMPE's with both transforms.

    Raises:
        ConfigError: It has no head and codec of heatmaps.
    """

    inputs = ('images',)
    outputs = ('keypoints', 'keypoint_scores')

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self._codec = getattr(model.head, 'decoder', None)
        if isinstance(model.head, SSTNHead):
            raise ConfigError(
                'an SSTNHead around a head cannot be exported: a ParallelSPPE '
                'can'
            )
        if getattr(self._codec, 'unbiased', False) or not (
            isinstance(self._codec, MSRAHeatmap)
            or (
                isinstance(self._codec, UDPHeatmap)
                and self._codec.heatmap_type == 'gaussian'
            )
        ):
            raise ConfigError(
                'of top-down models those with MSRAHeatmap (without unbiased) '
                'or UDPHeatmap (gaussian) can be exported, not with '
                f'{type(self._codec).__name__}'
            )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Predict from crops (B, h, w, 3), uint8, in their pixels."""
        model, crops = self.model, _normalized(self.model, images)
        if not isinstance(model, ParallelSPPE):
            heatmaps = model.head.forward(model.extract_feat(crops))
            return _decode_heatmaps(heatmaps, self._codec)
        theta = _batched(model.regress_theta(crops))
        theta = model.sstn.guard(theta, warn=False)
        heatmaps = model.head.forward(
            model.extract_feat(model.stn(crops, theta))
        )
        if model.test_cfg.get('sdtn') == 'heatmaps':
            heatmaps = sdtn_outputs(heatmaps, theta, model.frame)
            return _decode_heatmaps(heatmaps, self._codec)
        points, scores = _decode_heatmaps(heatmaps, self._codec)
        return _sdtn_points(points, theta, model.frame), scores


def _normalized(model: nn.Module, images: Tensor) -> Tensor:
    """What mmpose's preprocessor makes of pixels (B, H, W, 3)."""
    preprocessor = model.data_preprocessor
    images = images.permute(0, 3, 1, 2)
    if preprocessor._channel_conversion:
        images = images.flip(1)
    images = images.float()
    if preprocessor._enable_normalize:
        images = (images - preprocessor.mean) / preprocessor.std
    return images


def _mask_padding(
    heatmaps: Tensor, regions: Tensor, stride: list[float]
) -> Tensor:
    """Set heatmaps to 0 beside regions, as in a test of SPM's head."""
    cells = regions / torch.tensor([*stride, *stride])
    cells = torch.round(cells * 1000) / 1000
    low, high = cells[:, :2].floor(), cells[:, 2:].ceil() + 1
    y = torch.arange(heatmaps.shape[2])[None, :, None]
    x = torch.arange(heatmaps.shape[3])[None, None]
    inside = (x >= low[:, 0, None, None]) & (x < high[:, 0, None, None])
    inside = inside & (y >= low[:, 1, None, None])
    inside = inside & (y < high[:, 1, None, None])
    return torch.where(inside[:, None], heatmaps, 0.0)


def _batched(theta: Tensor) -> Tensor:
    """Transforms (B, 2, 3) whose B the exporter leaves open.

    Here and below all sizes but B are constants therefore.
    """
    return theta.reshape(-1, 2, 3)


def _sdtn_points(points: Tensor, theta: Tensor, frame: CropFrame) -> Tensor:
    """Bring points (B, K, 2) back to the crop, as ``sdtn_keypoints`` does."""
    size = torch.tensor(frame.size, dtype=torch.float32)
    scale = size / (size - 1).clamp(min=1) if frame.udp else 1.0
    theta = normalized_to_pixel_theta(theta, frame.size)
    points = (points / scale)[:, :, None]
    moved = (theta[:, None, :, :2] * points).sum(-1) + theta[:, None, :, 2]
    return moved * scale


def _decode_heatmaps(heatmaps: Tensor, codec: Any) -> tuple[Tensor, Tensor]:
    """Decode heatmaps (B, K, H, W) as the codec does, without numpy."""
    number, height, width = (int(size) for size in heatmaps.shape[1:])
    scores, cells = heatmaps.reshape(-1, number, height * width).max(dim=2)
    x, y = cells % width, cells // width
    points = torch.stack((x, y), dim=-1).float()
    if isinstance(codec, UDPHeatmap):
        points = points - _dark_steps(heatmaps, x, y, codec.blur_kernel_size)
        size = (codec.heatmap_size[0] - 1, codec.heatmap_size[1] - 1)
        scale = [n / m for n, m in zip(codec.input_size, size, strict=True)]
    else:
        points = points + _quarter_steps(heatmaps, x, y)
        scale = [float(side) for side in codec.scale_factor]
    return points * torch.tensor(scale, dtype=torch.float32), scores


def _quarter_steps(heatmaps: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """A quarter cell towards the higher neighbours, as mmpose's codec."""
    number, height, width = (int(size) for size in heatmaps.shape[1:])
    flat = heatmaps.reshape(-1, number, height * width)

    def value(x: Tensor, y: Tensor) -> Tensor:
        x, y = x.clamp(0, width - 1), y.clamp(0, height - 1)
        index = (y * width + x)[..., None]
        return flat.gather(2, index)[..., 0]

    step_x = (value(x + 1, y) - value(x - 1, y)).sign() * 0.25
    step_y = (value(x, y + 1) - value(x, y - 1)).sign() * 0.25
    # the cells for which mmpose has a step
    has_x = (x > 1) & (x < width - 1) & (y > 0)
    has_y = (y > 1) & (y < height - 1) & (x > 0)
    return torch.stack((step_x * has_x, step_y * has_y), dim=-1)


def _dark_steps(
    heatmaps: Tensor, x: Tensor, y: Tensor, kernel_size: int
) -> Tensor:
    """The Newton step of UDP's decoding on the logarithm of blurred maps."""
    number, height, width = (int(size) for size in heatmaps.shape[1:])
    kernel = torch.from_numpy(cv2.getGaussianKernel(kernel_size, 0)).float()
    radius = kernel_size // 2
    maps = heatmaps.reshape(-1, 1, height, width)
    blurred = F.conv2d(maps, kernel[None, None], padding=(radius, 0))
    blurred = F.conv2d(
        blurred, kernel.T[None, None].contiguous(), padding=(0, radius)
    )
    highest, blurred_highest = maps.amax((2, 3)), blurred.amax((2, 3))
    blurred = blurred * (highest / blurred_highest)[..., None, None]
    logs = F.pad(blurred.clamp(1e-3, 50.0).log(), (1, 1, 1, 1), 'replicate')
    row = width + 2
    logs = logs.reshape(-1, number, (height + 2) * row)
    index = (y + 1) * row + x + 1

    def at(step: int) -> Tensor:
        return logs.gather(2, (index + step)[..., None])[..., 0].double()

    here = at(0)
    left, right, up, down = at(-1), at(1), at(-row), at(row)
    dx, dy = (right - left) / 2, (down - up) / 2
    eps = torch.finfo(torch.float32).eps
    dxx = right - 2 * here + left + eps
    dyy = down - 2 * here + up + eps
    around = at(row + 1) - right - down + here + here - left - up
    dxy = (around + at(-row - 1)) / 2
    det = dxx * dyy - dxy * dxy
    step_x = (dyy * dx - dxy * dy) / det
    step_y = (dxx * dy - dxy * dx) / det
    return torch.stack((step_x, step_y), dim=-1).float()
