"""Checkpoints, read without running code that they carry.

Importing this module allows exactly the classes that a training state of
mmengine's runner is made of, beside the tensors and plain containers that
``torch.load(weights_only=True)`` accepts by itself, and makes mmengine load
every checkpoint, local or downloaded, so.
"""

import os
import pickle
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from struct import error as StructError
from typing import Any
from urllib.parse import urlparse

import mmengine.runner.checkpoint as runner_checkpoint
import numpy as np
import torch
from mmengine.dist import barrier, get_rank
from mmengine.logging import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler
from mmengine.runner import CheckpointLoader

from ..errors import CorruptCheckpointError, UnsafeCheckpointError

# Of these are the logs, the scores and the dataset's arrays in a checkpoint.
_DTYPES = (
    'bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 '
    'float16 float32 float64'
)

# The logs name their statistics, a one-cycle schedule its way to anneal.
_METHODS = {
    HistoryBuffer: ('min', 'max', 'current', 'mean'),
    OneCycleParamScheduler: ('_annealing_cos', '_annealing_linear'),
}

# What torch wrote before its files were zip archives begins with this number.
_LEGACY_START = 0x1950A86A20F9469CFC6C.to_bytes(10, 'little')


def allow_training_state() -> None:
    """Allow the classes that mmengine's runner writes to a checkpoint.

    These are the logs and a one-cycle schedule's state, which name methods of
    their own through ``getattr``: what answers to that name here gives out
    those methods and nothing else. And what a numeric numpy array or scalar
    is pickled with, under numpy 1's and 2's names; an empty one names
    ``bytes``, for no bytes at all.

    Before torch 2.6 a name cannot be bound so: there only weights load.
    """
    if not hasattr(torch.serialization, 'get_unsafe_globals_in_checkpoint'):
        return
    multiarray = sys.modules[np.ndarray((0,)).__reduce__()[0].__module__]
    named = [
        (function, f'numpy.{core}.multiarray.{function.__name__}')
        for function in (multiarray._reconstruct, multiarray.scalar)
        for core in ('core', '_core')
    ]
    dtypes = [type(np.dtype(name)) for name in _DTYPES.split()]
    torch.serialization.add_safe_globals(
        [
            *_METHODS,
            (_known_method, 'builtins.getattr'),
            (_no_bytes, 'builtins.bytes'),
            np.ndarray,
            np.dtype,
            *dtypes,
            *named,
        ]
    )


def _known_method(owner: Any, name: str) -> Callable:
    """Return what ``getattr`` would, for methods that training states name."""
    if name in next((m for k, m in _METHODS.items() if k is owner), ()):
        return getattr(owner, name)
    raise pickle.UnpicklingError(
        f'unrecognized function getattr({owner!r}, {name!r})'
    )


def _no_bytes() -> bytes:
    """Return what ``bytes()`` does, and take no argument."""
    return b''


def load_from_local(filename: str, map_location: Any = None) -> dict:
    """Load a checkpoint file without running code that it carries.

    Args:
        filename (str): The file; ``~`` is expanded.
        map_location: As in ``torch.load``. Defaults to None.

    Returns:
        dict: The checkpoint.

    Raises:
        FileNotFoundError: There is no such file.
        UnsafeCheckpointError: It carries classes that are neither weights
            nor a training state of mmengine's runner.
        CorruptCheckpointError: It cannot be read, or its weights are NaN.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f'checkpoint {path} does not exist. {_what_to_do(path)}'
        )
    with path.open('rb') as file:
        start = file.read(32)
    if not start.startswith(b'PK') and _LEGACY_START not in start:
        raise _corrupt(path, 'is not a file of weights, not opened')
    try:
        state = torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        names = _refused_names(path, str(error))
        if not names:
            raise _corrupt(path, 'is cut short or damaged') from error
        raise UnsafeCheckpointError(
            f'checkpoint {path} was refused: it carries {", ".join(names)}, '
            'which is neither a weight nor part of a training state, and '
            'nothing in it was run. Get the weights from a source that you '
            'trust; a class of your own is allowed with '
            'torch.serialization.add_safe_globals before loading'
        ) from None
    except (
        EOFError,
        LookupError,
        RuntimeError,
        TypeError,
        StructError,
    ) as error:
        if 'map_location' in str(error):  # weights of a GPU that is not here
            raise
        raise _corrupt(path, 'is cut short or damaged') from error
    bad = nan_weights(state)
    if bad:
        raise _corrupt(
            path,
            f'holds weights that are NaN, {len(bad)} of them, {bad[0]} the '
            'first: the training that wrote it has diverged',
        )
    return state


def nan_weights(state: Any) -> list[str]:
    """Name the weights of a checkpoint, or a model's, that hold a NaN."""
    if isinstance(state, Mapping):
        state = state.get('state_dict', state)
    if not isinstance(state, Mapping):
        return []
    return [
        name
        for name, value in state.items()
        if isinstance(value, torch.Tensor)
        and value.is_floating_point()
        and value.isnan().any()
    ]


def load_from_http(filename: str, map_location: Any = None) -> dict:
    """Download a checkpoint, once, and load it as :func:`load_from_local`."""
    path = Path(torch.hub.get_dir(), 'checkpoints')
    path /= Path(urlparse(filename).path).name
    # The first process downloads; the others do so only on other machines.
    for turn in (get_rank() == 0, get_rank() != 0):
        if turn and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(
                filename, str(path), progress=sys.stderr.isatty()
            )
        barrier()
    return load_from_local(str(path), map_location)


def last_checkpoint(work_dir: str | os.PathLike) -> Path | None:
    """Find the file that ``last_checkpoint`` names, which may be missing."""
    pointer = Path(work_dir) / 'last_checkpoint'
    try:
        name = pointer.read_text(encoding='utf-8').strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    if not name.isprintable() or not Path(name).name:
        return None
    moved = pointer.with_name(Path(name).name)
    return moved if moved.is_file() else Path(name)


def newest_checkpoint(folder: str | os.PathLike) -> Path | None:
    """Find the newest checkpoint that loads, those of ``save_best`` last."""
    files = sorted(
        Path(folder).glob('*.pth'),
        key=lambda p: (not p.name.startswith('best_'), p.stat().st_mtime),
    )
    return next(filter(_loads, reversed(files)), None)


def checkpoint_to_resume(work_dir: str | os.PathLike) -> Path | None:
    """Find where ``--resume`` goes on; None in a folder without checkpoints.

    Raises:
        CorruptCheckpointError: The pointer is missing beside checkpoints, or
            names nothing.
    """
    path, folder = last_checkpoint(work_dir), Path(work_dir)
    pointer = folder / 'last_checkpoint'
    if path is None and (pointer.exists() or any(folder.glob('*.pth'))):
        state = 'is missing beside files of weights'
        if pointer.exists():
            state = 'names no file (it is empty or damaged)'
        newest = newest_checkpoint(folder)
        advice = f'resume with --resume {newest}, ' if newest else ''
        raise CorruptCheckpointError(
            f'{pointer} {state}: {advice}or leave --resume out to start anew '
            'and overwrite what is there'
        )
    return path


def _loads(path: Path) -> bool:
    """Whether a file loads, with weights that are numbers."""
    try:
        state = torch.load(path, map_location='cpu', weights_only=True)
    except Exception:  # whatever is wrong with it
        return False
    return not nan_weights(state)


def _refused_names(path: Path, message: str) -> list[str]:
    """Return the names that a checkpoint was refused for."""
    list_names = getattr(
        torch.serialization, 'get_unsafe_globals_in_checkpoint', None
    )
    try:
        names = list_names(path) if list_names else []
    except (ValueError, RuntimeError, pickle.UnpicklingError):
        names = []  # not of the present file format
    found = re.search(
        r'GLOBAL (\S+)|unrecognized function (.+)|but got (<class .+>)',
        message,
    )
    if not names and found:
        names = [next(filter(None, found.groups()))]
    return sorted(names)


def _corrupt(path: Path, what: str) -> CorruptCheckpointError:
    return CorruptCheckpointError(
        f'checkpoint {path} ({path.stat().st_size} bytes) {what}. '
        f'{_what_to_do(path)}'
    )


def _what_to_do(path: Path) -> str:
    """Say how to go on without a checkpoint."""
    if path.name == 'mobilenet_v2.pth':
        return 'Write it with tools/prepare_backbone.py, or check the path'
    folder = path.parent
    newest = newest_checkpoint(folder)
    if last_checkpoint(folder) == path:
        pointer = folder / 'last_checkpoint'
        advice = f'{pointer} names it: leave --resume out to start anew'
        return (
            f'{advice}, or resume with --resume {newest}' if newest else advice
        )
    other = f'; the newest one there that loads is {newest}' if newest else ''
    return f'Check the path{other}'


allow_training_state()

CheckpointLoader.register_scheme('', load_from_local, force=True)
CheckpointLoader.register_scheme(
    ('http://', 'https://'), load_from_http, force=True
)
# mmcls://, torchvision:// and openmmlab:// look it up by this name.
runner_checkpoint.load_from_http = load_from_http
