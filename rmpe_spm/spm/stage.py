"""A prediction stage of SPM: its two branches."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch.nn as nn
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor

from ..tensors import add_levels

# Predictions of a stage: heatmaps and displacements
Maps = tuple[Tensor, Tensor]


def stage_features(
    feats: Sequence[Tensor], num_stages: int, in_index: int | Sequence[int]
) -> list[Tensor]:
    """What each stage sees: the last features, or one stage chosen levels."""
    if num_stages == 1:
        if isinstance(in_index, int):
            return [feats[in_index]]
        return [add_levels([feats[i] for i in in_index], 'SPMHead')]
    if len(feats) < num_stages:
        raise ValueError(
            f'SPMHead: num_stages={num_stages}, but the backbone gives '
            f'{len(feats)} feature maps'
        )
    return list(feats[-num_stages:])


def build_tower(
    in_channels: int,
    norm_cfg: Mapping,
    num_convs: int = 1,
    channels: int = 256,
    kernel_size: int = 1,
) -> tuple[nn.Sequential, int]:
    """Convolutions with norm and ReLU, and the channels that come out."""
    tower = nn.Sequential()
    for _ in range(num_convs):
        tower.append(
            ConvModule(
                in_channels,
                channels,
                kernel_size,
                padding=kernel_size // 2,
                norm_cfg=dict(norm_cfg),
            )
        )
        in_channels = channels
    return tower, in_channels


class SPMStage(BaseModule):
    """Heatmaps and displacements from one feature map, as SPMHead's stages.

    With ``feedback`` the stage before sends its predictions in: they are
    mapped to the feature's channels by 1x1 convolutions and added to it.
    """

    def __init__(
        self,
        in_channels: int,
        num_keypoints: int,
        keypoint_heatmaps: bool,
        keypoint_offsets: bool,
        norm_cfg: Mapping,
        *,
        keypoint_depths: bool = False,
        feedback: bool = False,
        heatmap_head: Mapping[str, Any] | None = None,
        displacement_head: Mapping[str, Any] | None = None,
    ):
        super().__init__(
            init_cfg=[
                dict(type='Kaiming', layer='Conv2d'),
                dict(type='Constant', layer=['_BatchNorm', 'GN'], val=1),
                dict(
                    type='Normal',
                    std=0.001,
                    override=[
                        dict(name='heatmap_layer'),
                        dict(name='displacement_layer'),
                    ],
                ),
            ]
        )
        num_heatmaps = num_keypoints + 1 if keypoint_heatmaps else 1
        num_displacements = num_keypoints * (4 if keypoint_offsets else 2)
        num_displacements += (num_keypoints + 1) * keypoint_depths
        if feedback:
            self.heatmap_feedback = nn.Conv2d(num_heatmaps, in_channels, 1)
            self.displacement_feedback = nn.Conv2d(
                num_displacements, in_channels, 1
            )
        self.heatmap_tower, heatmap_channels = build_tower(
            in_channels, norm_cfg, **(heatmap_head or {})
        )
        self.displacement_tower, displacement_channels = build_tower(
            in_channels, norm_cfg, **(displacement_head or {})
        )
        self.heatmap_layer = nn.Conv2d(heatmap_channels, num_heatmaps, 1)
        self.displacement_layer = nn.Conv2d(
            displacement_channels, num_displacements, 1
        )

    def forward(self, feature: Tensor, previous: Maps | None = None) -> Maps:
        """Predict from features (B, C, H, W) and the stage before's maps."""
        if previous is not None:
            feature = (
                feature
                + self.heatmap_feedback(previous[0])
                + self.displacement_feedback(previous[1])
            )
        return (
            self.heatmap_layer(self.heatmap_tower(feature)),
            self.displacement_layer(self.displacement_tower(feature)),
        )
