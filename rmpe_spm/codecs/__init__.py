"""Keypoint codecs: from poses to training targets and back."""

from .hierarchical_spr_codec import HierarchicalSPRCodec

__all__ = ['HierarchicalSPRCodec']
