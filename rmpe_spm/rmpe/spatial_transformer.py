"""Points and maps under a transform, and a loss on the transform.

Convention:
    That of :mod:`rmpe_spm.rmpe.theta`: a transform maps target to
    source, in units normalised with ``align_corners=True``. All arithmetic
    is in float32 at least, also under autocast.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmpose.registry import MODELS
from torch import Tensor

from ..tensors import tensor_on_device_of, without_autocast
from .theta import as_geometry


def transform_points(theta: Tensor, points: Tensor) -> Tensor:
    """Apply transforms ``(B, 2, 3)`` to points ``(B, ..., 2)``."""
    theta, points = as_geometry(theta), as_geometry(points)
    shape = (theta.shape[0],) + (1,) * (points.dim() - 2) + (2, 3)
    theta = theta.reshape(shape)
    return (theta[..., :2] * points[..., None, :]).sum(-1) + theta[..., 2]


def sampling_grid(theta: Tensor, size: tuple[int, int]) -> Tensor:
    """Apply transforms to the pixels of a crop: ``(B, h, w, 2)``.

    It is ``F.affine_grid`` with ``align_corners=True``, written out: ONNX has
    that only since opset 20, and loses the size.
    """
    x, y = (
        (2 * torch.arange(n, dtype=theta.dtype, device=theta.device) - (n - 1))
        / max(n - 1, 1)
        for n in size
    )
    by_x, by_y, shift = (part[:, None, None] for part in theta.unbind(-1))
    return by_x * x[:, None] + (by_y * y[:, None, None] + shift)


def warp(
    images: Tensor,
    theta: Tensor,
    fill: Tensor | None = None,
    size: tuple[int, int] | None = None,
) -> Tensor:
    """Sample images ``(B, C, H, W)`` bilinearly at the transformed grid.

    ``out(x_t) = images(theta x_t)``: for the STN pass theta, for the SDTN
    gamma, its inverse, in the normalised units of the result. Outside the
    images is ``fill`` ``(C,)``. The result's frame, of ``size`` ``(w, h)``, is
    the middle of the images.
    """
    dtype = images.dtype
    if images.shape[0] == 0:
        return images if size is None else images[..., : size[1], : size[0]]
    with without_autocast(images):
        values, theta = as_geometry(images), as_geometry(theta)
        theta = theta.to(values.dtype)
        if fill is not None:
            fill = fill.to(values).reshape(1, -1, 1, 1)
            values = values - fill
        whole = int(images.shape[-1]), int(images.shape[-2])
        if size is not None and whole != tuple(size):
            share = [
                (n - 1) / (m - 1) for n, m in zip(size, whole, strict=True)
            ]
            theta = theta * tensor_on_device_of(share, theta)[:, None]
            whole = size
        grid = sampling_grid(theta, whole)
        values = F.grid_sample(values, grid, align_corners=True)
        if fill is not None:
            values = values + fill
    return values.to(dtype)


def warp_vectors(vectors: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Sample vectors ``(B, K, L)`` linearly at ``scale * bin + shift``.

    The SDTN of one axis of a SimCC representation, exact for transforms
    that do not mix the axes. Beyond the ends the last value goes on: the
    vectors hold logits, for which zero would not mean "nothing here".
    """
    values = as_geometry(vectors)
    scale, shift = as_geometry(scale), as_geometry(shift)
    length = values.shape[-1]
    bins = torch.arange(length, device=values.device, dtype=values.dtype)
    position = (scale[:, None] * bins + shift[:, None]).clamp(0, length - 1)
    left = position.detach().floor().clamp(max=max(length - 2, 0)).long()
    weight = (position - left)[:, None]
    index = left[:, None].expand_as(values)
    right = (index + 1).clamp(max=length - 1)
    out = values.gather(-1, index) * (1 - weight)
    return (out + values.gather(-1, right) * weight).to(vectors.dtype)


@MODELS.register_module()
class ThetaCornerLoss(nn.Module):
    r"""How far apart two transforms put the corners of the frame.

    .. math::
        L = \frac{1}{8B} \sum_{b} \sum_{c \in \{-1,1\}^2}
        \| \theta_b (c, 1)^T - \theta_b^* (c, 1)^T \|_{1, smooth}

    In points, so that it means the same for every parameterisation of theta,
    and shift and scale weigh as they move the crop: 0.1 is a twentieth of
    the crop's side.

    Args:
        smooth (float): Below this distance along an axis, in units of half
            a side of the crop, the loss is quadratic. Defaults to 0.1.
        loss_weight (float): Factor of the loss. Defaults to 1.0.

    Example:
        >>> loss = ThetaCornerLoss()
        >>> theta = torch.tensor([[[1.0, 0, 0.3], [0, 1.0, 0]]])
        >>> loss(theta, torch.eye(2, 3)[None])
        tensor(0.1250)
    """

    def __init__(self, smooth: float = 0.1, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.smooth = smooth
        self.loss_weight = loss_weight

    def forward(self, theta: Tensor, target: Tensor) -> Tensor:
        """Compare transforms ``(B, 2, 3)`` in normalised units; a scalar."""
        corners = [[-1, -1], [-1, 1], [1, -1], [1, 1]]
        corners = tensor_on_device_of(corners, theta)
        corners = corners.expand(len(theta), 4, 2)
        return self.loss_weight * F.smooth_l1_loss(
            transform_points(theta, corners),
            transform_points(target, corners),
            beta=self.smooth,
        )
