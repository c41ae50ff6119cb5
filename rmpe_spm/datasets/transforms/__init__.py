"""Transforms of the training and test pipelines."""

from .generate_center_target import GenerateCenterTarget
from .pgpg_transform import PGPGTransform

__all__ = ['GenerateCenterTarget', 'PGPGTransform']
