"""Heads: SPMHead, SSTNHead and a DEKRHead to compare with."""

from .grid_sample_dekr_head import GridSampleDEKRHead
from .spm_head import SPMHead
from .sstn_head import SSTNHead

__all__ = ['GridSampleDEKRHead', 'SPMHead', 'SSTNHead']
