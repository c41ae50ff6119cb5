"""One prediction stage of SPM: two small branches on a feature map."""

from collections.abc import Mapping

import torch.nn as nn
from mmcv.cnn import ConvModule, DepthwiseSeparableConvModule
from mmengine.model import BaseModule
from torch import Tensor

TOWER_DEFAULTS = dict(
    num_convs=1, channels=256, kernel_size=1, depthwise=False
)


def build_tower(
    in_channels: int, config: Mapping | None, norm_cfg: Mapping
) -> tuple[nn.Sequential, int]:
    """Build convolutions with normalisation and ReLU from a small config.

    Args:
        in_channels (int): Channels that come in.
        config (Mapping, optional): ``num_convs``, ``channels``,
            ``kernel_size`` and ``depthwise`` (a depthwise and a pointwise
            convolution in place of each), by default 1, 256, 1 and False.
        norm_cfg (Mapping): Config of the normalisation.

    Returns:
        tuple[nn.Sequential, int]: The tower and the channels that go out.

    Raises:
        ValueError: If the config has another key.
    """
    config = dict(config or {})
    unknown = set(config) - set(TOWER_DEFAULTS)
    if unknown:
        raise ValueError(
            f'a tower of SPMHead has {", ".join(TOWER_DEFAULTS)}, got '
            f'{", ".join(sorted(unknown))}'
        )
    config = TOWER_DEFAULTS | config
    kernel_size = config['kernel_size']
    module = (
        DepthwiseSeparableConvModule if config['depthwise'] else ConvModule
    )
    layers = []
    for _ in range(config['num_convs']):
        layers.append(
            module(
                in_channels,
                config['channels'],
                kernel_size,
                padding=kernel_size // 2,
                norm_cfg=dict(norm_cfg),
            )
        )
        in_channels = config['channels']
    return nn.Sequential(*layers), in_channels


class SPMStage(BaseModule):
    """Heatmaps and displacements from one feature map.

    Args:
        in_channels (int): Channels of the feature map.
        num_heatmaps (int): Channels of the heatmaps.
        num_displacements (int): Channels of the displacements.
        shared_head (Mapping, optional): Tower before both branches, as in
            :func:`build_tower`; ``None`` for none.
        heatmap_head (Mapping, optional): Tower of the heatmap branch.
        displacement_head (Mapping, optional): Tower of the displacement
            branch.
        norm_cfg (Mapping): Config of the normalisation.
        feedback (bool): Whether the stage before sends its predictions in.
            They are mapped to the feature's channels by 1x1 convolutions
            and added to it.
    """

    def __init__(
        self,
        in_channels: int,
        num_heatmaps: int,
        num_displacements: int,
        shared_head: Mapping | None,
        heatmap_head: Mapping | None,
        displacement_head: Mapping | None,
        norm_cfg: Mapping,
        feedback: bool,
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
        if feedback:
            self.heatmap_feedback = nn.Conv2d(num_heatmaps, in_channels, 1)
            self.displacement_feedback = nn.Conv2d(
                num_displacements, in_channels, 1
            )
        if shared_head is None:
            self.shared_tower, channels = nn.Identity(), in_channels
        else:
            self.shared_tower, channels = build_tower(
                in_channels, shared_head, norm_cfg
            )
        self.heatmap_tower, heatmap_channels = build_tower(
            channels, heatmap_head, norm_cfg
        )
        self.displacement_tower, displacement_channels = build_tower(
            channels, displacement_head, norm_cfg
        )
        self.heatmap_layer = nn.Conv2d(heatmap_channels, num_heatmaps, 1)
        self.displacement_layer = nn.Conv2d(
            displacement_channels, num_displacements, 1
        )

    def forward(
        self, feature: Tensor, previous: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Predict.

        Args:
            feature (Tensor): Feature map (B, C, H, W).
            previous (tuple[Tensor, Tensor], optional): Heatmaps and
                displacements of the stage before, where ``feedback`` is on.
                Defaults to ``None``.

        Returns:
            tuple[Tensor, Tensor]: Heatmaps and displacements.
        """
        if previous is not None:
            feature = (
                feature
                + self.heatmap_feedback(previous[0])
                + self.displacement_feedback(previous[1])
            )
        feature = self.shared_tower(feature)
        return (
            self.heatmap_layer(self.heatmap_tower(feature)),
            self.displacement_layer(self.displacement_tower(feature)),
        )
