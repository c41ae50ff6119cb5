"""The network of MoveNet: MobileNetV2 and a feature pyramid down to stride 4.

Its weights come from ``tools/import_movenet.py``.
"""

from collections.abc import Sequence

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule, ModuleList
from mmpose.models.backbones import MobileNetV2
from mmpose.registry import MODELS
from mmpose.utils.typing import OptMultiConfig
from torch import Tensor

from .lateral_sum import LateralSum


def separable_conv(in_channels: int, out_channels: int) -> nn.Sequential:
    """A depthwise 3x3 convolution without bias, 1x1 with bias, ReLU."""
    return nn.Sequential(
        nn.Conv2d(
            in_channels, in_channels, 3, 1, 1, groups=in_channels, bias=False
        ),
        nn.Conv2d(in_channels, out_channels, 1),
        nn.ReLU(inplace=True),
    )


class SamePaddingConv2d(nn.Conv2d):
    """A convolution with TensorFlow's padding ``SAME``, exported too."""

    def forward(self, x: Tensor) -> Tensor:
        """Pad, the odd cell on the right and bottom, and convolve."""
        width, height = (
            max(kernel - (int(side) % stride or stride), 0)
            for side, kernel, stride in zip(
                reversed(x.shape[2:]),
                reversed(self.kernel_size),
                reversed(self.stride),
                strict=True,
            )
        )
        left, top = width // 2, height // 2
        if width or height:
            x = F.pad(x, (left, width - left, top, height - top))
        return F.conv2d(
            x, self.weight, self.bias, self.stride, 0, 1, self.groups
        )


@MODELS.register_module()
class TFMobileNetV2(MobileNetV2):
    """mmpose's MobileNetV2 as TensorFlow computes it, for inference weights.

    It differs in three points. Convolutions of stride 2 pad as TensorFlow's
    ``SAME``, at an even size nothing on the left and top and one pixel on the
    right and bottom, where PyTorch's ``padding=1`` reads one pixel beside
    it. Batch normalisation is folded into weights and biases. The last layer
    has 1280 channels at any width.

    Without normalisation a training starts from trained weights, with a
    smaller learning rate than usual.

    Args:
        widen_factor (float): Width, a factor of the channels: MoveNet's
            lightning has 1.0, multipose 1.5, thunder 1.75. Defaults to 1.0.
        out_indices (Sequence[int]): Layers that are given out, from 0 to 7.
            Defaults to (1, 2, 3, 7): those of stride 4, 8, 16 and 32 that
            :class:`MoveNetFPN` takes.
        frozen_stages (int): Layers up to this one are not trained, 0 being
            the first convolution. Defaults to -1: all are.
        with_cp (bool): Whether to compute activations again in the backward
            pass to save memory. Defaults to ``False``.
        init_cfg (dict, optional): Initialisation. Defaults to ``None``:
            Kaiming normal.

    Example:
        >>> import torch
        >>> from rmpe_spm import TFMobileNetV2
        >>> backbone = TFMobileNetV2(widen_factor=1.5)
        >>> [tuple(f.shape) for f in backbone(torch.zeros(1, 3, 64, 96))]
        [(1, 40, 16, 24), (1, 48, 8, 12), (1, 96, 4, 6), (1, 1280, 2, 3)]
    """

    def __init__(
        self,
        widen_factor: float = 1.0,
        out_indices: Sequence[int] = (1, 2, 3, 7),
        frozen_stages: int = -1,
        with_cp: bool = False,
        init_cfg: OptMultiConfig = None,
    ):
        conv_cfg = dict(type=SamePaddingConv2d)
        super().__init__(
            widen_factor,
            tuple(out_indices),
            frozen_stages,
            conv_cfg=conv_cfg,
            norm_cfg=None,
            with_cp=with_cp,
            init_cfg=init_cfg or dict(type='Kaiming', layer='Conv2d'),
        )
        self.out_channel = 1280
        self.conv2 = ConvModule(
            self.in_channels, 1280, 1, act_cfg=dict(type='ReLU6')
        )


@MODELS.register_module()
class MoveNetFPN(BaseModule):
    r"""MoveNet's feature pyramid: one map at the finest level.

    From the coarsest level l = L to the finest each level is upsampled by 2
    (bilinear, half-pixel centres), added to the next and convolved:

    .. math::
        y_L = W_L x_L, \quad
        y_l = \mathrm{sep}_l(W_l x_l + \mathrm{up}(y_{l+1}))

    where W are 1x1 convolutions and sep is a depthwise 3x3 convolution, a
    1x1 convolution and ReLU.

    Args:
        in_channels (Sequence[int]): Channels of the backbone's levels, the
            finest first.
        out_channels (Sequence[int]): Channels of y at each level, the finest
            first; W x has those of the next coarser y, to which it is added.
            Defaults to (24, 24, 32, 64).
        depth_channels (int): Channels of a :class:`LateralSum` of the same
            levels behind them, which :class:`MoveNetStage` reads depths
            from: 24 channels have no room for these. Defaults to 0.
        init_cfg (dict, optional): Initialisation. Defaults to ``None``:
            Kaiming normal.

    Example:
        >>> import torch
        >>> from rmpe_spm import MoveNetFPN
        >>> neck = MoveNetFPN([24, 32, 64, 1280])
        >>> shapes = [(24, 16), (32, 8), (64, 4), (1280, 2)]
        >>> [y] = neck([torch.zeros(1, c, s, s) for c, s in shapes])
        >>> tuple(y.shape)
        (1, 24, 16, 16)
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: Sequence[int] = (24, 24, 32, 64),
        depth_channels: int = 0,
        init_cfg: OptMultiConfig = None,
    ):
        super().__init__(init_cfg or dict(type='Kaiming', layer='Conv2d'))
        lateral_channels = (*out_channels[1:], out_channels[-1])
        self.laterals = ModuleList(
            nn.Conv2d(*channels, 1)
            for channels in zip(in_channels, lateral_channels, strict=True)
        )
        self.fusions = ModuleList(
            separable_conv(*channels)
            for channels in zip(
                lateral_channels[:-1], out_channels[:-1], strict=True
            )
        )
        self.depths = None
        if depth_channels:
            self.depths = LateralSum(in_channels, depth_channels)

    def forward(self, feats: Sequence[Tensor]) -> tuple[Tensor]:
        """Merge levels (B, C_l, H_l, W_l), each twice as large as the next."""
        y = self.laterals[-1](feats[-1])
        finer = list(zip(self.laterals, self.fusions, feats, strict=False))
        for lateral, fusion, feat in reversed(finer):
            y = F.interpolate(y, scale_factor=2, mode='bilinear')
            y = fusion(lateral(feat) + y)
        if self.depths is not None:
            y = torch.cat((y, *self.depths(feats)), dim=1)
        return (y,)
