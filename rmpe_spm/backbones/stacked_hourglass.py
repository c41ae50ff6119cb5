"""Stacked hourglass in the form that SPM and its predecessors use."""

import torch.nn as nn
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule, ModuleList
from mmpose.registry import MODELS
from torch import Tensor

NORM = dict(type='BN')


class PreActBottleneck(nn.Module):
    """Residual block with normalisation and ReLU before each convolution."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        middle = out_channels // 2
        layers = []
        for channels, wide, kernel_size in (
            (in_channels, middle, 1),
            (middle, middle, 3),
            (middle, out_channels, 1),
        ):
            layers += [
                nn.BatchNorm2d(channels),
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
    """Down and up again ``depth`` times, with a shortcut at each size."""

    def __init__(self, depth: int, channels: int) -> None:
        super().__init__()
        self.shortcut = PreActBottleneck(channels, channels)
        self.down = PreActBottleneck(channels, channels)
        self.inner = (
            Hourglass(depth - 1, channels) if depth > 1 else nn.Identity()
        )
        self.up = PreActBottleneck(channels, channels)

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
        init_cfg (dict, optional): Initialisation. Defaults to ``None``:
            Kaiming normal for convolutions.

    Example:
        >>> import torch
        >>> backbone = StackedHourglass(num_stacks=2, channels=16)
        >>> [tuple(f.shape) for f in backbone(torch.rand(1, 3, 64, 128))]
        [(1, 16, 16, 32), (1, 16, 16, 32)]

    .. _Stacked Hourglass Networks for Human Pose Estimation:
        https://arxiv.org/abs/1603.06937
    """

    def __init__(
        self,
        num_stacks: int = 8,
        channels: int = 256,
        depth: int = 4,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(
            init_cfg
            or [
                dict(type='Kaiming', layer='Conv2d'),
                dict(type='Constant', layer='_BatchNorm', val=1),
            ]
        )
        half, quarter = channels // 2, channels // 4
        self.divisor = 4 * 2**depth
        self.stem = nn.Sequential(
            ConvModule(3, quarter, 7, stride=2, padding=3, norm_cfg=NORM),
            PreActBottleneck(quarter, half),
            nn.MaxPool2d(2),
            PreActBottleneck(half, half),
            PreActBottleneck(half, channels),
        )
        self.hourglasses = ModuleList(
            Hourglass(depth, channels) for _ in range(num_stacks)
        )
        # the hourglass ends in a residual sum, so it is normalised first
        self.outputs = ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(channels),
                nn.ReLU(inplace=True),
                ConvModule(channels, channels, 1, norm_cfg=NORM),
            )
            for _ in range(num_stacks)
        )
        self.merges = ModuleList(
            nn.Conv2d(channels, channels, 1) for _ in range(num_stacks - 1)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Extract the features (B, channels, H/4, W/4) of all stacks.

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
