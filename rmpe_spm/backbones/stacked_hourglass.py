"""Stacked hourglass in the form that SPM and its predecessors use."""

from collections.abc import Sequence

import torch.nn as nn
import torch.nn.functional as F
from mmcv.cnn import ConvModule, build_activation_layer, build_norm_layer
from mmengine.model import BaseModule, ModuleList
from mmpose.registry import MODELS
from mmpose.utils.typing import ConfigType, OptConfigType, OptMultiConfig
from torch import Tensor

from ..tensors import check_levels, upsample_level


@MODELS.register_module()
class LateralSum(BaseModule):
    r"""The top-down path of a feature pyramid, of which only the end is kept.

    A 1x1 convolution at each level's own size, then, from the coarsest level
    l = L to the finest, upsampling (bilinear) and addition, and one
    normalisation and activation at the end:

    .. math::
        y_L = W_L x_L, \quad y_l = W_l x_l + \mathrm{up}(y_{l+1}), \quad
        y = \mathrm{act}(\mathrm{norm}(y_1))

    It takes the place of deconvolutions in front of a head on one map
    (``HeatmapHead``): what the fine levels know about where a joint is need
    not pass through the coarsest one. mmpose's ``FeatureMapProcessor`` with
    ``concat`` and a 1x1 convolution of the head give the same function, but
    run the convolution, and hold all channels, at the finest size.

    Args:
        in_channels (Sequence[int]): Channels of the levels, finest first.
        out_channels (int): Channels of the map.
        norm_cfg (dict, optional): Normalisation. Defaults to ``None``: batch
            normalisation.
        act_cfg (dict, optional): Activation. Defaults to ``None``: ReLU.
        init_cfg (dict, optional): Initialisation. Defaults to ``None``:
            PyTorch's.

    Raises:
        ValueError: If ``in_channels`` is empty, or features of another number
            of levels or of sizes that don't divide one another come in.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        norm_cfg: ConfigType | None = None,
        act_cfg: ConfigType | None = None,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        super().__init__(init_cfg)
        if not in_channels:
            raise ValueError('LateralSum: in_channels names no level')
        self.laterals = nn.ModuleList(
            nn.Conv2d(channels, out_channels, 1) for channels in in_channels
        )
        norm_cfg = norm_cfg or dict(type='BN')
        self.norm = build_norm_layer(dict(norm_cfg), out_channels)[1]
        self.activation = build_activation_layer(
            dict(act_cfg or dict(type='ReLU'))
        )

    def forward(self, feats: Sequence[Tensor]) -> tuple[Tensor]:
        """Merge the levels.

        Args:
            feats (Sequence[Tensor]): One map (B, C_l, H_l, W_l) a level, the
                finest first.

        Returns:
            tuple[Tensor]: The one map (B, out_channels, H_1, W_1).
        """
        if len(feats) != len(self.laterals):
            raise ValueError(
                f'LateralSum: in_channels has {len(self.laterals)} levels, '
                f'the backbone gives {len(feats)}: see its out_indices'
            )
        check_levels([feat.shape[-2:] for feat in feats], 'LateralSum')
        levels = zip(self.laterals, feats, strict=True)
        total = None
        for lateral, feat in reversed(list(levels)):
            level = lateral(feat)
            if total is not None:
                level = level + upsample_level(total, level.shape[-2:])
            total = level
        return (self.activation(self.norm(total)),)


class PreActBottleneck(nn.Module):
    """Residual block with normalisation and ReLU before each convolution.

    1x1 to half the channels, 3x3, 1x1 back; the shortcut is the identity, or
    a 1x1 convolution where the channels change.

    Args:
        in_channels (int): Channels that come in.
        out_channels (int): Channels that go out.
        norm_cfg (dict): Normalisation.
    """

    def __init__(self, in_channels: int, out_channels: int, norm_cfg: dict):
        super().__init__()
        middle = out_channels // 2
        layers = []
        for channels, wide, kernel_size in (
            (in_channels, middle, 1),
            (middle, middle, 3),
            (middle, out_channels, 1),
        ):
            layers += [
                build_norm_layer(norm_cfg, channels)[1],
                nn.ReLU(inplace=True),
                nn.Conv2d(
                    channels, wide, kernel_size, padding=kernel_size // 2
                ),
            ]
        self.layers = nn.Sequential(*layers)
        self.shortcut = (
            nn.Identity()
            if in_channels == out_channels
            else nn.Conv2d(in_channels, out_channels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block to features (B, C, H, W)."""
        # the first ReLU works in place on what the normalisation gives, so
        # that x itself stays for the shortcut
        return self.layers(x) + self.shortcut(x)


class Hourglass(nn.Module):
    """Down and up again, with a shortcut at every resolution.

    Args:
        depth (int): How many times the resolution is halved.
        channels (int): Channels at every resolution.
        norm_cfg (dict): Normalisation.
    """

    def __init__(self, depth: int, channels: int, norm_cfg: dict):
        super().__init__()
        self.shortcut = PreActBottleneck(channels, channels, norm_cfg)
        self.down = PreActBottleneck(channels, channels, norm_cfg)
        self.inner = (
            Hourglass(depth - 1, channels, norm_cfg)
            if depth > 1
            else nn.Identity()
        )
        self.up = PreActBottleneck(channels, channels, norm_cfg)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the hourglass to features (B, C, H, W)."""
        low = self.inner(self.down(F.max_pool2d(x, 2)))
        low = F.interpolate(low, scale_factor=2, mode='bilinear')
        return self.up(self.shortcut(x) + low)


@MODELS.register_module()
class StackedHourglass(BaseModule):
    r"""Stacked hourglass network, after `Stacked Hourglass Networks for
    Human Pose Estimation`_ in the form used for multi-person pose machines:
    pre-activation bottlenecks, four resolutions below the output's, bilinear
    upsampling.

    With 8 stacks it has 21.9 M parameters and needs 61 GMACs for a 384x384
    image; with the two branches that SPMHead adds to each stage 23.1 M and
    71. (mmpose's ``HourglassNet`` has CornerNet's blocks and 752 M
    parameters at 8 stacks.)

    Each stack gives one feature map with a quarter of the input's size, so a
    head with as many stages supervises all of them, and one that takes the
    last feature works too. Only features go from one stack to the next:
    backbone and head stay apart, so that either can be replaced.
    ``SPMHead(feedback=True)`` passes predictions on between the stages of
    the head.

    Args:
        num_stacks (int): Number of hourglasses. Defaults to 8.
        channels (int): Channels of the features. Defaults to 256.
        depth (int): How many times each hourglass halves the resolution.
            Defaults to 4.
        in_channels (int): Channels of the input. Defaults to 3.
        norm_cfg (dict, optional): Normalisation. Defaults to ``None``: batch
            normalisation.
        init_cfg (dict, optional): Initialisation. Defaults to ``None``:
            Kaiming normal for convolutions.

    .. _Stacked Hourglass Networks for Human Pose Estimation:
        https://arxiv.org/abs/1603.06937
    """

    def __init__(
        self,
        num_stacks: int = 8,
        channels: int = 256,
        depth: int = 4,
        in_channels: int = 3,
        norm_cfg: OptConfigType = None,
        init_cfg: OptConfigType = None,
    ):
        super().__init__(
            init_cfg
            or [
                dict(type='Kaiming', layer='Conv2d'),
                dict(type='Constant', layer=['_BatchNorm', 'GN'], val=1),
            ]
        )
        norm_cfg = norm_cfg or dict(type='BN')
        half, quarter = channels // 2, channels // 4
        self.divisor = 4 * 2**depth
        self.stem = nn.Sequential(
            ConvModule(
                in_channels,
                quarter,
                7,
                stride=2,
                padding=3,
                norm_cfg=norm_cfg,
            ),
            PreActBottleneck(quarter, half, norm_cfg),
            nn.MaxPool2d(2),
            PreActBottleneck(half, half, norm_cfg),
            PreActBottleneck(half, channels, norm_cfg),
        )
        self.hourglasses = ModuleList(
            Hourglass(depth, channels, norm_cfg) for _ in range(num_stacks)
        )
        # the hourglass ends in a residual sum, so it is normalised first
        self.outputs = ModuleList(
            nn.Sequential(
                build_norm_layer(norm_cfg, channels)[1],
                nn.ReLU(inplace=True),
                ConvModule(channels, channels, 1, norm_cfg=norm_cfg),
            )
            for _ in range(num_stacks)
        )
        self.merges = ModuleList(
            nn.Conv2d(channels, channels, 1) for _ in range(num_stacks - 1)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Extract the features of all stacks.

        Args:
            x (Tensor): Images (B, C, H, W).

        Returns:
            tuple[Tensor]: For each stack features (B, channels, H/4, W/4).

        Raises:
            ValueError: If height or width is not a multiple of the divisor
                (64 with the default depth).
        """
        height, width = x.shape[-2:]
        if height % self.divisor or width % self.divisor:
            raise ValueError(
                f'StackedHourglass: the input is {width}x{height}, but width '
                f'and height must be multiples of {self.divisor}; set '
                f'size_factor={self.divisor} in BottomupResize, or another '
                'input_size'
            )
        x = self.stem(x)
        features = []
        for i, hourglass in enumerate(self.hourglasses):
            features.append(self.outputs[i](hourglass(x)))
            if i < len(self.merges):
                x = x + self.merges[i](features[-1])
        return tuple(features)
