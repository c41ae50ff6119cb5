"""DEKR's head with a deformable convolution that is quick on a CPU."""

from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmpose.models.heads import DEKRHead
from mmpose.models.heads.hybrid_heads.dekr_head import AdaptiveActivationBlock
from mmpose.registry import MODELS
from torch import Tensor, nn


def deform_conv2d(
    inputs: Tensor, offsets: Tensor, weight: Tensor, groups: int = 1
) -> Tensor:
    r"""Deformable convolution of stride 1 that keeps the size.

    .. math::
        y(p) = \sum_n w(p_n) \cdot x(p + p_n + \Delta p_n)

    over the :math:`k^2` taps :math:`p_n` of the kernel, centred on 0; between
    cells x is bilinear, and it is 0 outside. The same as mmcv's
    ``DeformConv2d`` with ``padding=k // 2``, whose operator takes seconds on a
    CPU where this one takes milliseconds: ``grid_sample`` gathers the taps,
    and one product sums them.

    Source: Dai et al., "Deformable Convolutional Networks", ICCV 2017.

    Args:
        inputs (Tensor): x, (N, C, H, W).
        offsets (Tensor): :math:`\Delta p`, (N, groups * k * k * 2, H, W), in
            cells, y before x for each tap, taps in rows.
        weight (Tensor): w, (C_out, C // groups, k, k), k odd.
        groups (int): Of the convolution, and of the offsets. Defaults to 1.

    Returns:
        Tensor: y, (N, C_out, H, W).

    Raises:
        ValueError: The offsets or the weight do not fit the input.
    """
    num, channels, height, width = inputs.shape
    kernel = weight.shape[-1]
    taps = kernel * kernel
    if offsets.shape != (num, groups * taps * 2, height, width):
        raise ValueError(
            f'offsets of shape {tuple(offsets.shape)} for an input of '
            f'{tuple(inputs.shape)}, {groups} groups and {taps} taps'
        )
    if channels != groups * weight.shape[1] or kernel % 2 == 0:
        raise ValueError(
            f'weight of shape {tuple(weight.shape)} for {channels} channels '
            f'in {groups} groups; kernels have an odd size'
        )
    # half precision would round places by parts of a cell
    dtype = torch.promote_types(inputs.dtype, torch.float32)
    like = dict(dtype=dtype, device=inputs.device)
    tap = torch.arange(kernel, **like) - kernel // 2
    rows = torch.arange(height, **like)[:, None] + tap.repeat_interleave(
        kernel
    ).view(taps, 1, 1)
    columns = torch.arange(width, **like) + tap.repeat(kernel).view(taps, 1, 1)
    offsets = offsets.to(dtype).reshape(num * groups, taps, 2, height, width)
    # grid_sample's -1 and 1 are the outer edges of the border cells
    grid = torch.stack(
        [
            (offsets[:, :, 1] + columns) * (2 / width) + (1 / width - 1),
            (offsets[:, :, 0] + rows) * (2 / height) + (1 / height - 1),
        ],
        dim=-1,
    ).view(num * groups, taps * height, width, 2)
    with torch.autocast(inputs.device.type, enabled=False):
        sampled = F.grid_sample(
            inputs.reshape(num * groups, -1, height, width).to(dtype),
            grid,
            padding_mode='zeros',
            align_corners=False,
        ).to(inputs.dtype)
    per_group = weight.shape[1]
    outputs = torch.matmul(
        weight.reshape(groups, -1, per_group * taps),
        sampled.view(num, groups, per_group * taps, height * width),
    )
    return outputs.reshape(num, -1, height, width)


class GridDeformConv2d(BaseModule):
    """:func:`deform_conv2d` with the parameter of mmcv's ``DeformConv2d``.

    Args:
        weight (nn.Parameter): Its weight.
        groups (int): Its groups, of the convolution and of the offsets.
    """

    def __init__(self, weight: nn.Parameter, groups: int) -> None:
        super().__init__()
        self.weight = weight
        self.groups = groups

    def forward(self, inputs: Tensor, offsets: Tensor) -> Tensor:
        """Convolve; see :func:`deform_conv2d`."""
        return deform_conv2d(inputs, offsets, self.weight, self.groups)


@MODELS.register_module()
class GridSampleDEKRHead(DEKRHead):
    """mmpose's ``DEKRHead`` for trainings on a CPU.

    The same function of the same parameters, under the same names, so that
    checkpoints go both ways. Only mmcv's deformable convolution, most of
    DEKR's time on a CPU, is replaced by
    :func:`~rmpe_spm.experiments.fast_dekr.deform_conv2d`: at 128x128
    a training step takes a fifth of the time. SPM is compared with it.

    Args:
        **kwargs: Of ``DEKRHead``.

    Raises:
        ImportError: mmcv has no compiled operators; ``DEKRHead`` asks for
            them before they are replaced.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for block in self.displacement_conv_layers.children():
            if isinstance(block, AdaptiveActivationBlock):
                block.adapt_conv = GridDeformConv2d(
                    block.adapt_conv.weight, block.groups
                )
