"""LateralSum: a neck that brings all levels to the finest one."""

from collections.abc import Sequence

import torch.nn as nn
from mmengine.model import BaseModule
from mmpose.registry import MODELS
from torch import Tensor

from ..tensors import check_levels, upsample_level


@MODELS.register_module()
class LateralSum(BaseModule):
    r"""The top-down path of a feature pyramid, of which only the end is kept.

    A 1x1 convolution at each level's own size, then, from the coarsest level
    l = L to the finest, upsampling (bilinear) and addition, and one batch
    normalisation and ReLU at the end:

    .. math::
        y_L = W_L x_L, \quad y_l = W_l x_l + \mathrm{up}(y_{l+1}), \quad
        y = \mathrm{relu}(\mathrm{norm}(y_1))

    It takes the place of deconvolutions in front of a head on one map
    (``HeatmapHead``): what the fine levels know about where a joint is need
    not pass through the coarsest one. mmpose's ``FeatureMapProcessor`` with
    ``concat`` and a 1x1 convolution of the head give the same function, but
    run the convolution, and hold all channels, at the finest size.

    Args:
        in_channels (Sequence[int]): Channels of the levels, finest first.
        out_channels (int): Channels of the map.

    Raises:
        ValueError: If features of another number of levels or of sizes that
            don't divide one another come in.

    Example:
        >>> import torch
        >>> neck = LateralSum([24, 96], 64)
        >>> feats = torch.rand(1, 24, 32, 24), torch.rand(1, 96, 8, 6)
        >>> neck(feats)[0].shape
        torch.Size([1, 64, 32, 24])
    """

    def __init__(self, in_channels: Sequence[int], out_channels: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(
            nn.Conv2d(channels, out_channels, 1) for channels in in_channels
        )
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, feats: Sequence[Tensor]) -> tuple[Tensor]:
        """Merge maps (B, C_l, H_l, W_l) to one (B, out_channels, H_1, W_1)."""
        check_levels([feat.shape[-2:] for feat in feats], 'LateralSum')
        levels = zip(self.laterals, feats, strict=True)
        total = None
        for lateral, feat in reversed(list(levels)):
            level = lateral(feat)
            if total is not None:
                level = level + upsample_level(total, level.shape[-2:])
            total = level
        return (self.norm(total).relu(),)
