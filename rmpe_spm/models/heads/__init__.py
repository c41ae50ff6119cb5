"""Heads: SPMHead and SSTNHead."""

from .sstn_head import SSTNHead

__all__ = ['SSTNHead']
