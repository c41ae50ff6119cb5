"""Absolute error of displacement maps, summed over the windows as in SPM."""

import torch
import torch.nn as nn
from mmpose.registry import MODELS
from torch import Tensor

from .map_l2_loss import check_reduction, reduce_map_error


@MODELS.register_module()
class MapL1Loss(nn.Module):
    r"""Weighted absolute error of maps, or its smooth form.

    .. math::
        L = \frac{1}{B} \sum_{b,c,p} w_{bc}(p) |D_{bc}(p) - \hat{D}_{bc}(p)|

    The weights are 1 inside the windows around the roots and 0 elsewhere, so
    the sum goes over the windows and SPM's beta = 0.01 balances it with the
    root loss.

    Args:
        smooth (float): Below this error the loss is quadratic,
            ``e^2 / (2 smooth)``, and beyond ``e - smooth / 2``. With
            displacements divided by the map's diagonal errors are small
            numbers: 1 / (9 Z) is DEKR's 1/9 of a cell. Defaults to 0: the
            plain absolute error of the paper.
        reduction (str): ``'sum'`` over channels and cells, averaged over the
            images of the batch, as above; or ``'mean'`` over the windows.
            Defaults to ``'sum'``.
        loss_weight (float): Factor of the loss. Defaults to 1.0.
    """

    def __init__(
        self,
        smooth: float = 0.0,
        reduction: str = 'sum',
        loss_weight: float = 1.0,
    ):
        super().__init__()
        if smooth < 0:
            raise ValueError(f'smooth must not be negative, got {smooth}')
        self.smooth = smooth
        self.reduction = check_reduction(reduction)
        self.loss_weight = loss_weight

    def forward(
        self, output: Tensor, target: Tensor, weights: Tensor
    ) -> Tensor:
        """Compute the loss.

        Args:
            output (Tensor): Predicted maps (B, C, H, W).
            target (Tensor): Target maps of the same shape.
            weights (Tensor): Weights of the same shape.

        Returns:
            Tensor: The loss, a scalar.
        """
        error = (output.float() - target.float()).abs()
        if self.smooth > 0:
            error = torch.where(
                error < self.smooth,
                error**2 / (2 * self.smooth),
                error - self.smooth / 2,
            )
        return self.loss_weight * reduce_map_error(
            error, weights, self.reduction
        )
