"""Checks of what a user wrote into a YAML file, told with the key."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from ..annotation_check import ConfigError

_REQUIRED = object()


def check_keys(entry: Any, allowed: Iterable[str], where: str) -> None:
    """Refuse what is no mapping, and keys that nothing uses.

    Args:
        entry (Any): The part of the file.
        allowed (iterable): The keys that it may have.
        where (str): Its place in the file.

    Raises:
        ConfigError: Names the place, the key and those like it.
    """
    allowed = tuple(allowed)
    if not isinstance(entry, Mapping):
        raise ConfigError(
            f'{where} must have keys ({", ".join(allowed)}), but is {entry!r}'
        )
    for key in entry:
        if key not in allowed:
            like = difflib.get_close_matches(str(key), allowed, n=1)
            advice = f'did you mean {like[0]}' if like else 'the keys are '
            advice += '?' if like else ', '.join(allowed)
            raise ConfigError(f'{where}: unknown key {key!r}: {advice}')


def take(
    entry: Mapping[str, Any],
    key: str,
    kind: type,
    where: str,
    default: Any = _REQUIRED,
) -> Any:
    """Return a value of the kind that it must be.

    Args:
        entry (mapping): The part of the file.
        key (str): The key.
        kind (type): ``str``, ``int``, ``float``, ``bool``, ``list`` or
            ``dict``.
        where (str): The place of the part.
        default (Any): What to return without the key; without a default the
            key is required.

    Returns:
        Any: The value; a whole number becomes a ``float`` where one is
        asked for.

    Raises:
        ConfigError: The key is missing, or its value is of another kind.
    """
    if key not in entry:
        if default is _REQUIRED:
            raise ConfigError(f'{where} lacks {key!r}')
        return default
    value = entry[key]
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        names = dict(str='text', int='a whole number', float='a number')
        names |= dict(list='a list', dict='keys and values')
        names |= dict(bool='true or false')
        raise ConfigError(
            f'{where}: {key} must be {names[kind.__name__]}, but is {value!r}'
        )
    return value
