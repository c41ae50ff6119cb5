"""The focal loss of CenterNet for maps, with which MoveNet was trained."""

import torch
from mmpose.registry import MODELS
from torch import Tensor

from .losses import MapLoss


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
