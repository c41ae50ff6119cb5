"""What runs beside the runner: safe checkpoints, pretrained weights."""

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
