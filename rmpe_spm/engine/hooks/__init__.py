"""Hooks of the runner."""

from .box_source_hook import BoxSourceHook
from .channels_last_hook import ChannelsLastHook
from .fuse_conv_bn_hook import FuseConvBNHook
from .reuse_memory_hook import ReuseMemoryHook

__all__ = [
    'BoxSourceHook',
    'ChannelsLastHook',
    'FuseConvBNHook',
    'ReuseMemoryHook',
]
