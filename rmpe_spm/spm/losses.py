"""The losses of SPM's maps."""

from abc import ABCMeta, abstractmethod
from collections.abc import Mapping

import torch
import torch.nn as nn
from mmpose.registry import MODELS
from torch import Tensor

from .codec import HierarchicalSPRCodec
from .decoding import accumulate
from .stage import Maps

# Losses of heatmaps; all others are of displacements, which beta weighs
HEATMAP_LOSSES = ('heatmap', 'keypoint')


def stage_losses(
    losses: Mapping[str, nn.Module],
    maps: Maps,
    gt: Mapping[str, Tensor],
    codec: HierarchicalSPRCodec | None,
) -> dict[str, Tensor]:
    """Compute the losses of one stage's maps, a scalar by each name."""
    heatmaps, vectors = maps
    target, weight = gt['heatmaps'], gt['heatmap_weights']
    mask = gt.get('heatmap_mask')
    arguments = dict(
        heatmap=(heatmaps[:, -1:], target[:, -1:], weight[:, -1:], mask)
    )
    if 'keypoint' in losses:
        joints = heatmaps[:, :-1], target[:, :-1], weight[:, :-1], mask
        arguments['keypoint'] = joints
    if 'depth' in losses:
        num_depths = codec.representation.num_depths
        vectors, depths = vectors[:, :-num_depths], vectors[:, -num_depths:]
        target, weight = gt['depths'], gt['depth_weights']
        arguments['depth'] = depths[:, :-1], target[:, :-1], weight[:, :-1]
        arguments['root_depth'] = (
            depths[:, -1:],
            target[:, -1:],
            weight[:, -1:],
        )
    target, weight = gt['displacements'], gt['displacement_weights']
    arguments['displacement'] = vectors, target, weight
    if 'joint_offset' in losses:
        target, weight = gt['joint_offsets'], gt['joint_offset_weights']
        offsets = accumulate(vectors, codec.tree)
        arguments['joint_offset'] = offsets, target, weight
    return {name: losses[name](*args) for name, args in arguments.items()}


class MapLoss(nn.Module, metaclass=ABCMeta):
    """A loss of maps, summed over them and averaged over a batch."""

    def __init__(self, loss_weight: float = 1.0):
        super().__init__()
        self.loss_weight = loss_weight

    @abstractmethod
    def error(self, output: Tensor, target: Tensor) -> Tensor:
        """What each value of maps (B, C, H, W) costs, of the same shape."""

    def forward(
        self,
        output: Tensor,
        target: Tensor,
        weights: Tensor,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Compute the loss of maps (B, C, H, W), a float32 scalar.

        ``mask`` (B, 1, H, W) is 0 where nothing is known.
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


@MODELS.register_module()
class MapFocalLoss(MapLoss):
    r"""Focal loss of heatmaps from 0 to 1, summed as :class:`MapL2Loss`.

    .. math::
        L = -\frac{1}{B} \sum_{b,c,p} w m \begin{cases}
        (1 - C)^2 \log C & \hat{C} > 0.88 \\
        (1 - \hat{C})^4 \, C^2 \log(1 - C) & \text{else}
        \end{cases}

    with C = C_bc(p) and the target's Gaussian C-hat, whose peak lies between
    cells: 0.88 is below its highest cell for a sigma of 1.4 cells or more.
    Unlike that of the squared error, its gradient does not vanish behind a
    sigmoid where a person is missed altogether. `CenterNet`_ has it.

    Args:
        loss_weight (float): Factor of the loss. Defaults to 1.0.

    .. _CenterNet: https://arxiv.org/abs/1904.07850
    """

    def error(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss of each cell."""
        output = output.clamp(1e-5, 1 - 1e-5)
        return -torch.where(
            target > 0.88,
            (1 - output) ** 2 * output.log(),
            (1 - target) ** 4 * output**2 * (1 - output).log(),
        )
