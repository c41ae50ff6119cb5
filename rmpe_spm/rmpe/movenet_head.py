"""MoveNet's joint heatmaps as a top-down head."""

import torch.nn as nn
from mmpose.models.heads import HeatmapHead
from mmpose.registry import MODELS
from mmpose.utils.typing import Features, OptConfigType, OptMultiConfig
from torch import Tensor

from ..backbones.movenet import separable_conv


@MODELS.register_module()
class MoveNetHeatmapHead(HeatmapHead):
    """mmpose's HeatmapHead with the layers of MoveNet's joint heatmaps.

    A depthwise 3x3 convolution, a 1x1 convolution with ReLU, a 1x1
    convolution and a sigmoid, on features of a quarter of the input's size.
    So an SPPE starts with what MoveNet has learned: with

    ``init_cfg=dict(type='Pretrained', checkpoint='movenet-thunder.pth',
    prefix='head.stages.0.')``

    it has MoveNet's weights, see ``tools/import_movenet.py``.

    Args:
        in_channels (int): Channels of the features.
        out_channels (int): Number of joints.
        channels (int): Channels before the last convolution. Defaults to 96.
        loss (dict, optional): Loss of the heatmaps. Defaults to ``None``:
            mmpose's ``KeypointMSELoss`` with the joints' weights.
        decoder (dict, optional): The codec. Defaults to ``None``.
        init_cfg (dict, optional): Initialisation. Defaults to ``None``:
            that of ``HeatmapHead``.

    Example:
        >>> import torch
        >>> from rmpe_spm import MoveNetHeatmapHead
        >>> head = MoveNetHeatmapHead(24, 17)
        >>> tuple(head([torch.zeros(1, 24, 48, 48)]).shape)
        (1, 17, 48, 48)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        channels: int = 96,
        loss: OptConfigType = None,
        decoder: OptConfigType = None,
        init_cfg: OptMultiConfig = None,
    ):
        super().__init__(
            in_channels,
            out_channels,
            deconv_out_channels=None,
            final_layer=None,
            loss=loss or dict(type='KeypointMSELoss', use_target_weight=True),
            decoder=decoder,
            init_cfg=init_cfg,
        )
        # named as in MoveNetStage
        self.keypoint = separable_conv(in_channels, channels)
        self.keypoint.append(nn.Conv2d(channels, out_channels, 1))

    def forward(self, feats: Features) -> Tensor:
        """Predict heatmaps (B, K, H, W) from 0 to 1."""
        # mmpose turns heatmaps into arrays, which have no bfloat16
        return self.keypoint(feats[-1]).float().sigmoid()
