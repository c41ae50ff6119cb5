"""A leaderboard as Markdown and as CSV."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from .tables import Row, Table, is_missing, joint_label

MISSING = '-'


def to_markdown(tables: Sequence[Table], title: str, notes: str) -> str:
    """Write tables as Markdown.

    Args:
        tables (sequence): The tables, one a data set.
        title (str): The heading.
        notes (str): How the numbers came about.

    Returns:
        str: The text.
    """
    parts = [f'# {title}\n']
    for table in tables:
        done = [row for row in table.rows if row.record]
        parts += [f'## {table.data_set}\n', _results(table)]
        if done:
            parts.append(_costs(done))
        if table.joint_names:
            parts.append(_joints(table, done))
    parts.append(notes)
    return '\n'.join(parts)


def to_csv(tables: Sequence[Table]) -> str:
    """Write tables as CSV, every number in full.

    Args:
        tables (sequence): The tables, one a data set.

    Returns:
        str: One line a row of all data sets, after a line of names.
    """
    lines = [_csv_line(table, i) for table in tables for i in _places(table)]
    names = {}
    for line in lines:
        names.update(dict.fromkeys(line))
    text = io.StringIO()
    writer = csv.DictWriter(text, list(names), lineterminator='\n')
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _places(table: Table) -> range:
    return range(len(table.rows))


def _results(table: Table) -> str:
    names = table.metric_names
    rows = []
    for place, row in enumerate(table.rows):
        if row.record is None:
            why = f'failed: {row.failure}'
            cells = [why, *[''] * (len(names) + 1)]
        else:
            cells = [_number(row.metrics.get(name)) for name in names]
            cells.insert(1, _interval(row))
            cells.append(_against_best(table, place))
        rows.append([_number(row.rank, 'd'), row.model, row.boxes, *cells])
    head = ['rank', 'model', 'boxes', names[0], '95%', *names[1:]]
    return _table([*head, f'{names[0]} less the best, p'], rows)


def _costs(rows: Iterable[Row]) -> str:
    head = [
        'model', 'boxes', 'parameters (M)', 'GFLOPs', 'of', 'images/s',
        'peak memory (MiB)', 'device', 'processes', 'date', 'config',
        'checkpoint (SHA-256)',
    ]  # fmt: skip
    body = [
        [
            row.model,
            row.boxes,
            _number(row.record.parameters / 1e6, '.2f'),
            _number(row.record.gflops),
            row.record.gflops_input or MISSING,
            _number(row.record.images_per_second, '.1f'),
            _number(row.record.peak_memory_mib, '.0f'),
            row.record.device,
            str(row.record.processes),
            row.record.date,
            f'`{row.config}`',
            f'`{Path(row.checkpoint).name}` ({row.checkpoint_sha256[:8]})',
        ]
        for row in rows
    ]
    return _table(head, body)


def _joints(table: Table, rows: Iterable[Row]) -> str:
    names = table.joint_names
    body = [
        [
            row.model,
            row.boxes,
            *[_number(row.record.joints.get(name), '.2f') for name in names],
        ]
        for row in rows
    ]
    head = ['model', 'boxes', *map(joint_label, names)]
    return f'{table.joint_measure} of each joint:\n\n' + _table(head, body)


def _against_best(table: Table, place: int) -> str:
    """AP less the best row's, its interval and the test's p."""
    if place == 0 and table.rows[place].rank is not None:
        return 'best'
    found = table.compare(place, 0)
    if found is None:
        return MISSING
    return (
        f'{found.difference:+.3f} [{found.low:+.3f}, {found.high:+.3f}], '
        f'{format_p(found.p_value)}'
    )


def format_p(value: float) -> str:
    """A p-value as text.

    Args:
        value (float): The value.

    Returns:
        str: With its sign of equality.
    """
    return 'p < 0.001' if value < 0.001 else f'p = {value:.3f}'


def _csv_line(table: Table, place: int) -> dict:
    row = table.rows[place]
    line = dict(
        data_set=row.data_set,
        rank=row.rank,
        model=row.model,
        boxes=row.boxes,
        failure=row.failure,
    )
    line.update(
        {
            name: None if is_missing(value) else value
            for name, value in row.metrics.items()
        }
    )
    low, high = row.interval or (None, None)
    best = table.compare(place, 0) if place else None
    line.update({f'{table.rank_by} low': low, f'{table.rank_by} high': high})
    for key in ('difference', 'low', 'high', 'p_value'):
        line[f'less best, {key}'] = best and getattr(best, key)
    if row.record is not None:
        record = vars(row.record)
        measure = row.record.joint_measure
        for name, value in row.record.joints.items():
            line[f'{measure} {name}'] = value
        for key, value in record.items():
            if key not in ('metrics', 'joints', 'joint_measure', 'sigmas'):
                line[key] = value
    line.update(
        config=row.config,
        checkpoint=row.checkpoint,
        checkpoint_sha256=row.checkpoint_sha256,
    )
    return line


def _interval(row: Row) -> str:
    if row.interval is None:
        return MISSING
    return f'{row.interval[0]:.3f} to {row.interval[1]:.3f}'


def _number(value: float | None, form: str = '.3f') -> str:
    return MISSING if is_missing(value) else format(value, form)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ['---'] * len(head), *rows]
    cells = [[_escape(cell) for cell in line] for line in lines]
    return '\n'.join(f'| {" | ".join(line)} |' for line in cells) + '\n'


def _escape(text: str) -> str:
    return ' '.join(text.replace('|', '\\|').split())
