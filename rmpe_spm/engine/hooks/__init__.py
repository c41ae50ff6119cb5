"""Hooks of the runner."""

from .box_source_hook import BoxSourceHook
from .channels_last_hook import ChannelsLastHook

__all__ = ['BoxSourceHook', 'ChannelsLastHook']
