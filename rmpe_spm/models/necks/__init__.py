"""Necks that mmpose lacks."""

from .lateral_sum import LateralSum

__all__ = ['LateralSum']
