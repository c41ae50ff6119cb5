"""What runs beside the runner: hooks, optimisers, checkpoints, weights."""

from . import hooks, optim_wrappers  # noqa: F401
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
