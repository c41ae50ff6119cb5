"""A prediction stage of SPM: its two branches, and the losses of its maps."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch.nn as nn
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmpose.registry import MODELS
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
    """Heatmaps and displacements from one feature map.

    The arguments are those of :class:`~rmpe_spm.SPMHead`. With ``feedback``
    the stage before sends its predictions in: they are mapped to the
    feature's channels by 1x1 convolutions and added to it.
    """

    def __init__(
        self,
        in_channels: int,
        num_keypoints: int,
        keypoint_heatmaps: bool,
        keypoint_offsets: bool,
        norm_cfg: Mapping,
        *,
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


class MapLoss(nn.Module):
    """A loss of maps, summed over them and averaged over a batch."""

    def __init__(self, loss_weight: float = 1.0):
        super().__init__()
        self.loss_weight = loss_weight

    def error(self, output: Tensor, target: Tensor) -> Tensor:
        """What each value of maps (B, C, H, W) costs, of the same shape."""
        raise NotImplementedError

    def forward(
        self,
        output: Tensor,
        target: Tensor,
        weights: Tensor,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Compute the loss, a float32 scalar.

        Args:
            output (Tensor): Predicted maps (B, C, H, W).
            target (Tensor): Target maps of the same shape.
            weights (Tensor): Weights of the same shape.
            mask (Tensor, optional): (B, 1, H, W), 0 where nothing is known
                (crowds, people without labels). Defaults to ``None``.
        """
        if mask is not None:
            weights = weights * mask
        error = self.error(output.float(), target.float()) * weights.float()
        return self.loss_weight * (error.sum() / max(len(error), 1))


@MODELS.register_module()
class MapL2Loss(MapLoss):
    r"""Weighted squared error of maps, summed as in SPM.

    .. math::
        L = \frac{1}{B} \sum_{b,c,p} w_{bc}(p) m_b(p) (C_{bc}(p) -
        \hat{C}_{bc}(p))^2

    mmpose's ``KeypointMSELoss`` divides by the number of cells instead, next
    to which the paper's beta for the displacements loses its meaning.

    Args:
        loss_weight (float): Factor of the loss. Defaults to 1.0.
    """

    def error(self, output: Tensor, target: Tensor) -> Tensor:
        """The square of the difference."""
        return (output - target) ** 2


@MODELS.register_module()
class MapL1Loss(MapLoss):
    r"""Weighted absolute error of maps, summed as in SPM.

    .. math::
        L = \frac{1}{B} \sum_{b,c,p} w_{bc}(p) m_b(p) |D_{bc}(p) -
        \hat{D}_{bc}(p)|

    The weights are 1 inside the windows around the roots and 0 elsewhere, so
    the sum goes over the windows and SPM's beta = 0.01 balances it with the
    root loss.

    Args:
        loss_weight (float): Factor of the loss. Defaults to 1.0.
    """

    def error(self, output: Tensor, target: Tensor) -> Tensor:
        """The absolute difference."""
        return (output - target).abs()
