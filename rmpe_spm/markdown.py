"""Numbers as Markdown: tables, and means over seeds."""

from collections.abc import Iterable, Sequence
from statistics import mean, stdev


def markdown_table(head: Sequence[str], rows: Iterable[Sequence]) -> str:
    """Write a table, a line a row."""
    lines = [head, ['---'] * len(head), *rows]
    return ''.join(f'| {" | ".join(map(_cell, line))} |\n' for line in lines)


def over_seeds(values: Sequence[float], form: str = '.3f') -> str:
    """Write the mean and, of several values, the sample standard deviation.

    Example:
        >>> over_seeds([0.2, 0.4])
        '0.300 ± 0.141'
    """
    text = f'{mean(values):{form}}'
    if len(values) > 1:
        text += f' ± {stdev(values):{form.lstrip("+")}}'
    return text


def escape(text: object) -> str:
    """Write text on one line, so that none of it is taken for HTML."""
    return ' '.join(str(text).replace('<', '\\<').split())


def _cell(value: object) -> str:
    return escape(value).replace('|', '\\|')
