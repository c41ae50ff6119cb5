"""Distance of two transforms, for an SSTN that is told the right one."""

import torch.nn as nn
import torch.nn.functional as F
from mmpose.registry import MODELS
from torch import Tensor

from ...structures.constants import constant_like
from ..utils.spatial_transformer import transform_points


@MODELS.register_module()
class ThetaCornerLoss(nn.Module):
    r"""Where two transforms put the corners of the frame, and how far apart.

    .. math::
        L = \frac{1}{8B} \sum_{b} \sum_{c \in \{-1,1\}^2}
        \| \theta_b (c, 1)^T - \theta_b^* (c, 1)^T \|_{1, smooth}

    In points and not in parameters, so that it means the same for every
    parameterisation of theta, and shift and scale weigh as they move the
    crop: 0.1 is a twentieth of the crop's side.

    Args:
        smooth (float): Below this distance along an axis, in units of half
            a side of the crop, the loss is quadratic. Defaults to 0.1.
        loss_weight (float): Factor of the loss. Defaults to 1.0.
    """

    def __init__(self, smooth: float = 0.1, loss_weight: float = 1.0) -> None:
        super().__init__()
        if smooth < 0:
            raise ValueError(f'smooth must not be negative, got {smooth}')
        self.smooth = smooth
        self.loss_weight = loss_weight

    def forward(self, theta: Tensor, target: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            theta (Tensor): Transforms (B, 2, 3) in normalised units.
            target (Tensor): The right ones, of the same shape.

        Returns:
            Tensor: The loss, a scalar.
        """
        corners = constant_like([[-1, -1], [-1, 1], [1, -1], [1, 1]], theta)
        corners = corners.expand(len(theta), 4, 2)
        return self.loss_weight * F.smooth_l1_loss(
            transform_points(theta, corners),
            transform_points(target, corners),
            beta=self.smooth,
        )
