"""Squared error of maps, summed as in SPM."""

import torch
import torch.nn as nn
from mmpose.registry import MODELS
from torch import Tensor

REDUCTIONS = ('sum', 'mean')


def check_reduction(reduction: str) -> str:
    """Refuse an unknown reduction with a ``ValueError``."""
    if reduction not in REDUCTIONS:
        raise ValueError(
            f'reduction must be one of {", ".join(map(repr, REDUCTIONS))}, '
            f'got {reduction!r}'
        )
    return reduction


def reduce_map_error(error: Tensor, weights: Tensor, reduction: str) -> Tensor:
    """Weight a map of errors and reduce it to one number.

    Args:
        error (Tensor): Errors (B, C, H, W).
        weights (Tensor): Weights that broadcast to the same shape.
        reduction (str): ``'sum'``: the sum over channels and cells, averaged
            over the B images; ``'mean'``: the sum divided by the sum of the
            weights, 0 where that is 0.

    Returns:
        Tensor: A scalar, float32.
    """
    error, weights = error.float(), weights.float().expand_as(error)
    total = (error * weights).sum()
    if reduction == 'sum':
        return total / max(len(error), 1)
    return total / weights.sum().clamp(min=1e-6)


@MODELS.register_module()
class MapL2Loss(nn.Module):
    r"""Weighted squared error of maps.

    .. math::
        L = \frac{1}{B} \sum_{b,c,p} w_{bc}(p) m_b(p) (C_{bc}(p) -
        \hat{C}_{bc}(p))^2

    mmpose's ``KeypointMSELoss`` divides by the number of cells instead, next
    to which the paper's beta for the displacements loses its meaning.

    Args:
        reduction (str): ``'sum'`` over channels and cells, averaged over the
            images of the batch, as above; or ``'mean'`` over all cells by
            weight. Defaults to ``'sum'``.
        loss_weight (float): Factor of the loss. Defaults to 1.0.
    """

    def __init__(self, reduction: str = 'sum', loss_weight: float = 1.0):
        super().__init__()
        self.reduction = check_reduction(reduction)
        self.loss_weight = loss_weight

    def forward(
        self,
        output: Tensor,
        target: Tensor,
        weights: Tensor,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Compute the loss.

        Args:
            output (Tensor): Predicted maps (B, C, H, W).
            target (Tensor): Target maps of the same shape.
            weights (Tensor): Weights of the same shape.
            mask (Tensor, optional): (B, 1, H, W), 0 where nothing is known
                (crowds, people without labels). Defaults to ``None``.

        Returns:
            Tensor: The loss, a scalar.
        """
        if mask is not None:
            weights = weights * mask
        error = (output.float() - target.float()) ** 2
        return self.loss_weight * reduce_map_error(
            error, weights, self.reduction
        )


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
