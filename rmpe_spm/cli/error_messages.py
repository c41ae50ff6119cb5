"""Errors that the user can mend, told without a traceback."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mmengine.registry
from mmengine.dist import get_dist_info

from ..errors import (
    ConfigError,
    CorruptCheckpointError,
    RunFailedError,
    UnsafeCheckpointError,
)

# wherever they are raised
_ALWAYS_TOLD = (
    ConfigError,
    CorruptCheckpointError,
    RunFailedError,
    UnsafeCheckpointError,
)
# where this package raises them, or mmengine as it builds a config's parts
_USER_ERRORS = (ValueError, TypeError, KeyError, FileNotFoundError)
_FOLDERS = (
    Path(__file__).resolve().parents[1],
    Path(mmengine.registry.__file__).resolve().parent,
)


@contextmanager
def report_user_errors(prog: str) -> Iterator[None]:
    """End the program with one message and code 2 where the set-up is wrong.

    Of several processes each tells its own, with its rank.
    """
    try:
        yield
    except Exception as error:
        message = explain(error)
        if message is None:
            raise
        rank, count = get_dist_info()
        where = f' on rank {rank}' if count > 1 else ''
        print(f'{prog}: error{where}: {message}', file=sys.stderr)
        sys.exit(2)


def explain(error: Exception) -> str | None:
    """Return what to tell the user, None for an error that is not theirs.

    Theirs are those of :mod:`rmpe_spm.errors`, and errors of values, types,
    keys and missing files that this package or a config's name raises.
    """
    if not isinstance(error, _ALWAYS_TOLD):
        traceback = error.__traceback__
        while traceback and traceback.tb_next:
            traceback = traceback.tb_next
        if not isinstance(error, _USER_ERRORS) or traceback is None:
            return None
        raised_in = Path(traceback.tb_frame.f_code.co_filename).resolve()
        if not any(folder in raised_in.parents for folder in _FOLDERS):
            return None
    # the text of a KeyError is quoted
    return str(error.args[0] if isinstance(error, KeyError) else error)
