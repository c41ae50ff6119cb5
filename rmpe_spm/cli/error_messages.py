"""Set-up errors of the command-line tools, told without a traceback."""

import ast
import difflib
import inspect
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

import mmpose.registry
from mmengine.dist import get_rank
from mmengine.registry import Registry

from ..errors import (
    ConfigError,
    CorruptCheckpointError,
    RunFailedError,
    UnsafeCheckpointError,
)

_PACKAGE = Path(__file__).resolve().parents[1]
_ALWAYS_TOLD = (
    ConfigError,
    CorruptCheckpointError,
    RunFailedError,
    UnsafeCheckpointError,
)
_USER_ERRORS = (ValueError, TypeError, KeyError, FileNotFoundError)
_IN_WORKER = re.compile(r'Caught \w+ in DataLoader worker process \d+\.\n')
_TRACEBACK = 'Traceback (most recent call last):\n'
_LAST_FRAME = re.compile(
    r'.*  File "([^"\n]+)", line \d+, in [^\n]+\n'
    r'(?: {4}[^\n]*\n)*[\w.]+(?:: (.*))?$',
    re.DOTALL,
)


@contextmanager
def report_user_errors(prog: str) -> Iterator[None]:
    """End the program with one message where the set-up is wrong.

    Told so, with exit code 2, are an unregistered type, with the names that
    are like it, and the errors that this package raises for its users.
    Everything else keeps its traceback.

    Args:
        prog (str): The program, named before the message.

    Raises:
        SystemExit: With code 2, after the message.
    """
    try:
        yield
    except Exception as error:
        message = explain(error)
        if message is None:
            raise
        if get_rank() == 0:
            print(f'{prog}: error: {message}', file=sys.stderr)
        sys.exit(2)


def explain(error: Exception) -> str | None:
    """Return what to tell the user, None for an error that is not theirs.

    Args:
        error (Exception): What was raised.

    Returns:
        str | None: The message.
    """
    text = str(error.args[0]) if error.args else ''
    raised_in = _last_file(error.__traceback__)
    in_worker = _read_worker_error(error, text)
    if in_worker:
        raised_in, text = in_worker
    unregistered = re.search(
        r'(\S+) is not in the (?:\S+::)?([\w ]+) registry', text
    )
    if isinstance(error, KeyError) and unregistered:
        return _unregistered(*unregistered.groups())
    argument = re.search(
        r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", text
    )
    if isinstance(error, TypeError) and argument:
        return _unknown_argument(*argument.groups())
    if text.startswith('Cannot find valid image after'):  # mmengine's
        return (
            'none of many images in a row can be trained on: the log says '
            'what was wrong with each, and data_prefix.img where they are '
            'looked for'
        )
    if isinstance(error, _ALWAYS_TOLD):
        return text
    if isinstance(error, _USER_ERRORS) and _is_ours(raised_in):
        # An OSError holds its parts, the text is in the whole.
        whole = isinstance(error, OSError) and not in_worker
        return str(error) if whole else text
    return None


def _read_worker_error(error: Exception, text: str) -> tuple[str, str] | None:
    """Return the file and the message of an error in a data worker.

    torch raises it anew, with its traceback as text, of which the last frame
    counts and the message behind it.
    """
    if not _IN_WORKER.match(text):
        return None
    found = _LAST_FRAME.match(text.rpartition(_TRACEBACK)[2])
    if found is None:
        return None
    file, message = found[1], (found[2] or '').strip()
    if isinstance(error, KeyError):  # whose text is a repr there
        with suppress(SyntaxError, ValueError):
            message = str(ast.literal_eval(message))
    return file, message


def _last_file(traceback: TracebackType | None) -> str | None:
    """Return the file of the line that raised."""
    while traceback and traceback.tb_next:
        traceback = traceback.tb_next
    return traceback.tb_frame.f_code.co_filename if traceback else None


def _is_ours(file: str | None) -> bool:
    """Tell whether a file is of this package."""
    return file is not None and _PACKAGE in Path(file).resolve().parents


def _registries() -> list[Registry]:
    found = vars(mmpose.registry).values()
    return [each for each in found if isinstance(each, Registry)]


def _unknown_argument(name: str, argument: str) -> str | None:
    """What to say of an argument that a registered class does not take."""
    kinds = [registry.get(name) for registry in _registries()]
    kind = next((kind for kind in kinds if kind is not None), None)
    if kind is None:
        return None
    known = {
        parameter
        for base in kind.__mro__
        if '__init__' in vars(base)
        for parameter in inspect.signature(base).parameters
    }
    like = difflib.get_close_matches(argument, sorted(known), n=3, cutoff=0.5)
    advice = f'. Names like it: {", ".join(like)}' if like else ''
    return f'{name} in the config has no argument {argument!r}{advice}'


def _unregistered(name: str, registry_name: str) -> str:
    names = set()
    for registry in _registries():
        if registry.name == registry_name:
            while registry is not None:
                names.update(registry.module_dict)
                registry = registry.parent
    like = difflib.get_close_matches(name, sorted(names), n=3, cutoff=0.5)
    scope, _, inner = name.rpartition('.')
    if like:
        advice = f'Names like it: {", ".join(like)}'
    elif scope:
        advice = f'{inner} belongs to {scope}: is that package installed?'
    else:
        advice = 'Add the package that has it to custom_imports'
    return (
        f'the config asks for the {registry_name} type {name!r}, which is '
        f'not registered. {advice}'
    )
