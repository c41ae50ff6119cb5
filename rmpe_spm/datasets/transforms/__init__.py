"""Transforms of the training and test pipelines."""

from .pgpg_transform import PGPGTransform

__all__ = ['PGPGTransform']
