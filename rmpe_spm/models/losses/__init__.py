"""Losses that mmpose lacks."""

from .map_l1_loss import MapL1Loss
from .map_l2_loss import MapL2Loss
from .theta_corner_loss import ThetaCornerLoss

__all__ = ['MapL1Loss', 'MapL2Loss', 'ThetaCornerLoss']
