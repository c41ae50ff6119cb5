"""Prediction stages of SPM: its own, and MoveNet's heads as one."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn as nn
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmpose.registry import MODELS
from mmpose.utils.typing import OptMultiConfig
from torch import Tensor

from ..backbones.movenet import separable_conv
from ..tensors import add_levels

# Predictions of a stage: heatmaps and displacements
Maps = tuple[Tensor, Tensor]

# MoveNetStage's branches for joints' depths, by where these lie
_DEPTH_BRANCHES = dict(root='depth', joint='joint_depth')


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
        depth_locations: Sequence[str] = (),
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
        num_displacements += num_keypoints * len(depth_locations)
        num_displacements += bool(depth_locations)
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
        depth_locations (Sequence[str]): ``'root'``, ``'joint'`` or both: K
            depths for each follow them and the root's one, from a head each.
            Defaults to ``()``: none.
        depth_channels (int): How many of ``in_channels``, the last ones, only
            the heads of depths take, beside all others. Defaults to 0.
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
        depth_locations: Sequence[str] = (),
        depth_channels: int = 0,
        channels: int = 96,
        init_cfg: OptMultiConfig = None,
    ):
        super().__init__(init_cfg or dict(type='Kaiming', layer='Conv2d'))
        heatmaps = dict(keypoint=num_keypoints * keypoint_heatmaps, root=1)
        displacements = dict(
            displacement=2 * num_keypoints,
            offset=2 * num_keypoints * keypoint_offsets,
            **{_DEPTH_BRANCHES[at]: num_keypoints for at in depth_locations},
            root_depth=1 * bool(depth_locations),
        )
        self.depth_channels = depth_channels
        # the branches that give channels, in the maps' order
        self.heatmap_branches = [b for b, own in heatmaps.items() if own]
        self.displacement_branches = [
            b for b, own in displacements.items() if own
        ]
        for branch, out_channels in (heatmaps | displacements).items():
            if out_channels:
                own = in_channels - depth_channels * ('depth' not in branch)
                head = separable_conv(own, channels)
                head.append(nn.Conv2d(channels, out_channels, 1))
                self.add_module(branch, head)

    def forward(
        self, feature: Tensor, previous: None = None
    ) -> tuple[Tensor, Tensor]:
        """Predict heatmaps from 0 to 1 and the displacements, as SPMStage."""
        # cut once: backwards each cut is as large as all of the feature
        planar = feature[:, : feature.shape[1] - self.depth_channels]
        heatmaps, displacements = (
            torch.cat(
                [
                    getattr(self, b)(feature if 'depth' in b else planar)
                    for b in branches
                ],
                dim=1,
            )
            for branches in (self.heatmap_branches, self.displacement_branches)
        )
        return heatmaps.sigmoid(), displacements
