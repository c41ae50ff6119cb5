"""DEKR's head with a deformable convolution that is quick on a CPU."""

from typing import Any

from mmengine.model import BaseModule
from mmpose.models.heads import DEKRHead
from mmpose.models.heads.hybrid_heads.dekr_head import AdaptiveActivationBlock
from mmpose.registry import MODELS
from torch import Tensor, nn

from ..engine.mmcv_lite import deform_conv2d


class GridDeformConv2d(BaseModule):
    """:func:`deform_conv2d` by the weight of an mmcv ``DeformConv2d``."""

    def __init__(self, weight: nn.Parameter, groups: int) -> None:
        super().__init__()
        self.weight = weight
        self.groups = groups

    def forward(self, inputs: Tensor, offsets: Tensor) -> Tensor:
        """Convolve at stride 1; the size stays."""
        return deform_conv2d(
            inputs,
            offsets,
            self.weight,
            padding=self.weight.shape[-1] // 2,
            groups=self.groups,
            deform_groups=self.groups,
        )


@MODELS.register_module()
class GridSampleDEKRHead(DEKRHead):
    """mmpose's ``DEKRHead`` for trainings on a CPU.

    The same function of the same parameters, under the same names, so that
    checkpoints go both ways. Only mmcv's deformable convolution, most of
    DEKR's time on a CPU, is replaced by
    :func:`~rmpe_spm.engine.mmcv_lite.deform_conv2d`: at 128x128 a
    training step takes a fifth of the time. SPM is compared with it.

    Args:
        **kwargs: Of ``DEKRHead``.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for block in self.displacement_conv_layers.children():
            if isinstance(block, AdaptiveActivationBlock):
                block.adapt_conv = GridDeformConv2d(
                    block.adapt_conv.weight, block.groups
                )
