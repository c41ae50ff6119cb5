"""Heads: SPMHead and SSTNHead."""

from .spm_head import SPMHead
from .sstn_head import SSTNHead

__all__ = ['SPMHead', 'SSTNHead']
