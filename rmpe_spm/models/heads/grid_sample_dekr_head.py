"""DEKR's head with a deformable convolution that is quick on a CPU."""

from typing import Any

from mmpose.models.heads import DEKRHead
from mmpose.models.heads.hybrid_heads.dekr_head import AdaptiveActivationBlock
from mmpose.registry import MODELS

from ..utils.grid_deform_conv import GridDeformConv2d


@MODELS.register_module()
class GridSampleDEKRHead(DEKRHead):
    """mmpose's ``DEKRHead`` for trainings on a CPU.

    The same function of the same parameters, under the same names, so that
    checkpoints go both ways. Only mmcv's deformable convolution, most of
    DEKR's time on a CPU, is replaced by
    :func:`~rmpe_spm.models.utils.grid_deform_conv.deform_conv2d`: at 128x128
    a training step takes a fifth of the time. SPM is compared with it.

    Args:
        **kwargs: Of ``DEKRHead``.

    Raises:
        ImportError: mmcv has no compiled operators; ``DEKRHead`` asks for
            them before they are replaced.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for block in self.displacement_conv_layers.children():
            if isinstance(block, AdaptiveActivationBlock):
                block.adapt_conv = GridDeformConv2d(
                    block.adapt_conv.weight, block.groups
                )
