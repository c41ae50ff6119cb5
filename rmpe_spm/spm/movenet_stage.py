"""MoveNet's heads as a stage of SPM's head."""

import torch
import torch.nn as nn
from mmengine.model import BaseModule
from mmpose.registry import MODELS
from mmpose.utils.typing import OptMultiConfig
from torch import Tensor

from ..backbones.movenet import separable_conv


@MODELS.register_module()
class MoveNetStage(BaseModule):
    """MoveNet's four heads in the place of SPM's two branches.

    Each one is a depthwise 3x3 convolution, a 1x1 convolution to
    ``channels`` with ReLU, and a 1x1 convolution. The heatmaps of the root
    (MoveNet's centre) and the joints pass a sigmoid. Displacements are
    MoveNet's regression, or with a hierarchical kinematic tree a linear map
    of it, see ``tools/import_movenet.py``.

    Args:
        in_channels (int): Channels of the feature map.
        num_keypoints (int): K.
        keypoint_heatmaps (bool): Whether there are K + 1 heatmaps, not 1.
        keypoint_offsets (bool): Whether there are 4K displacements, not 2K.
        keypoint_depths (bool): Whether K + 1 depths follow them, the joints'
            and the root's from a head each. Defaults to ``False``.
        channels (int): Channels before each last convolution. Defaults to
            96.
        init_cfg (dict, optional): Initialisation. Defaults to ``None``:
            Kaiming normal.
    """

    def __init__(
        self,
        in_channels: int,
        num_keypoints: int,
        keypoint_heatmaps: bool,
        keypoint_offsets: bool,
        keypoint_depths: bool = False,
        channels: int = 96,
        init_cfg: OptMultiConfig = None,
    ):
        super().__init__(init_cfg or dict(type='Kaiming', layer='Conv2d'))
        heatmaps = dict(keypoint=num_keypoints * keypoint_heatmaps, root=1)
        displacements = dict(
            displacement=2 * num_keypoints,
            offset=2 * num_keypoints * keypoint_offsets,
            depth=num_keypoints * keypoint_depths,
            root_depth=1 * keypoint_depths,
        )
        # the branches that give channels, in the maps' order
        self.heatmap_branches = [b for b, own in heatmaps.items() if own]
        self.displacement_branches = [
            b for b, own in displacements.items() if own
        ]
        for branch, out_channels in (heatmaps | displacements).items():
            if out_channels:
                head = separable_conv(in_channels, channels)
                head.append(nn.Conv2d(channels, out_channels, 1))
                self.add_module(branch, head)

    def forward(
        self, feature: Tensor, previous: None = None
    ) -> tuple[Tensor, Tensor]:
        """Predict.

        Args:
            feature (Tensor): Feature map (B, C, H, W).
            previous (None): Not used: these heads take no feedback.

        Returns:
            tuple[Tensor, Tensor]: Heatmaps (B, 1 or K+1, H, W) from 0 to 1,
            the root last, and displacements (B, 2K or 4K, H, W), with depths
            K + 1 more.
        """
        heatmaps, displacements = (
            torch.cat(
                [getattr(self, branch)(feature) for branch in branches], dim=1
            )
            for branches in (self.heatmap_branches, self.displacement_branches)
        )
        return heatmaps.sigmoid(), displacements
