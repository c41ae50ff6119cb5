"""Settings on a command line that override a config."""

import os
import re
from collections.abc import Mapping
from typing import Any

from mmengine.config import DictAction

from .annotation_check import ConfigError


class OptionAction(DictAction):
    """Argparse action for ``key=value`` settings, as mmengine's.

    mmengine drops blanks and splits at commas, in paths too. Here a value
    with blanks but no comma or bracket is kept as it is, and so is what stands
    between quotes of its own: ``"work_dir='my runs, 2'"``.
    """

    @staticmethod
    def _parse_iterable(val: str) -> Any:
        quote = val[:1]
        quoted = len(val) > 1 and quote in '\'"' and val[-1] == quote
        # not the quotes of two of a list's texts
        quoted = quoted and not re.search(rf'{quote}\s*,\s*{quote}', val)
        text = val[1:-1] if quoted else val
        ends = text.strip()[:1], text.strip()[-1:]
        is_list = ends in (('[', ']'), ('(', ')'))
        kept = quoted or ',' not in text
        if kept and not is_list and (' ' in text or ',' in text):
            value = DictAction._parse_int_float_bool(text.strip())
            return text if isinstance(value, str) else value
        return DictAction._parse_iterable(val)


def as_arguments(options: Mapping[str, Any]) -> list[str]:
    """Write settings as a tool's command line takes them.

    Args:
        options (mapping): Settings by dotted key.

    Returns:
        list[str]: ``key=value`` each, for :class:`OptionAction`.

    Raises:
        ConfigError: A value that the command line cannot express.
    """
    return [f'{key}={_as_text(key, value)}' for key, value in options.items()]


def _as_text(key: str, value: Any) -> str:
    if isinstance(value, list | tuple):
        value = list(value)
        forms = [str(value).replace(' ', '')]
    else:
        value = str(value) if isinstance(value, os.PathLike) else value
        forms = [f'{value}', f"'{value}'", f'"{value}"']
    for form in forms:
        try:
            same = OptionAction._parse_iterable(form) == value
        except (AssertionError, RecursionError):  # mmengine's, of brackets
            continue
        if same:
            return form
    raise ConfigError(
        f'{key}: {value!r} cannot be handed on as key=value: write it into '
        'the config'
    )
