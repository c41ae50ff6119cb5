"""Backbones that mmpose lacks."""

from .stacked_hourglass import StackedHourglass

__all__ = ['StackedHourglass']
