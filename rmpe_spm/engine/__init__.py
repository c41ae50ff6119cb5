"""What runs beside the runner: hooks, safe checkpoints, pretrained weights."""

from . import hooks  # noqa: F401
from .checkpoint import (
    CorruptCheckpointError,
    UnsafeCheckpointError,
    load_from_http,
    load_from_local,
)

__all__ = [
    'CorruptCheckpointError',
    'UnsafeCheckpointError',
    'load_from_http',
    'load_from_local',
]
