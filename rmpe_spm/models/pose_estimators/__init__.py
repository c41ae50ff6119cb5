"""Pose estimators: ParallelSPPE."""

from .parallel_sppe import ParallelSPPE

__all__ = ['ParallelSPPE']
