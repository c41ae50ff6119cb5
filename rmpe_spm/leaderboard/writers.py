"""A leaderboard as Markdown, CSV, LaTeX, and as one HTML page."""

import base64
import csv
import io
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jinja2
from matplotlib.ticker import LogLocator, MaxNLocator

from ..files import write_atomically
from ..markdown import escape, markdown_table
from .tables import SEED, Row, Table, is_missing

MISSING = '-'

# Fields of a record, and what they are called in plots.
COSTS = {'gflops': 'GFLOPs', 'images_per_second': 'images/s'}

# What a column is: its name and the text, or a paragraph under no name.
ColumnNotes = Sequence[tuple[str, str]]


def write_tables(
    tables: Sequence[Table], work_dir: Path, title: str, num_resamples: int
) -> list[Path]:
    """Write ``leaderboard.md``, ``.csv`` and ``.html``."""
    notes = column_notes(tables, num_resamples)
    contents = {
        'md': to_markdown(tables, title, notes),
        'csv': to_csv(tables),
        'html': to_html(tables, title, notes, work_dir),
    }
    return [
        write_atomically(work_dir / f'leaderboard.{suffix}', content)
        for suffix, content in contents.items()
    ]


def column_notes(tables: Sequence[Table], num_resamples: int) -> ColumnNotes:
    """Define the columns that tables have: name and text of each."""
    notes = {
        'boxes': "where the people's boxes came from; every number of a row "
        'is with these. "none (single stage)" needs no boxes. Numbers with '
        "annotated boxes, or with MPII's groups, whose place and scale are "
        'annotated, are not those of a whole system.',
        'rank': 'among the rows with the same source of boxes. Rows with '
        'annotated boxes stand after the others.',
        'AP, AR, AP50, APM...': 'as the evaluator of the config returns them, '
        'the same numbers as those of tools/test.py; of a result file those '
        "of COCO's evaluation; published rows have their authors' numbers.",
    }
    if any(row.interval for table in tables for row in table.rows):
        notes['95%, less the best, p'] = (
            f'percentile bootstrap over images, {num_resamples} resamples '
            f'(seed {SEED}), the same for all rows. Two rows are compared on '
            'the same resamples, in the table with the best row of the same '
            'source of boxes; p is two-sided, for one comparison, and not '
            'corrected for their number.'
        )
    notes |= {
        'parameters, GFLOPs': 'of the model as it is tested; GFLOPs of one '
        "forward pass of one person's crop (top-down) or one image (single "
        'stage) of the size or sizes that the test gave it, without flip '
        "test, a multiplication with its addition as one (mmengine's "
        'analysis).',
        'images/s': 'images over the time from a batch on the host to its '
        'poses (normalising, forward pass, flip test, decoding), for all '
        'people of an image; reading and cropping images, a person detector '
        'and the evaluation are not in it, nor is the first batch. The sum '
        'over the processes; ± is the standard deviation over five parts of '
        'the test.',
        'peak memory': 'what PyTorch allocated on CUDA during the test; the '
        'largest of the processes.',
    }
    rows = [row.record for table in tables for row in table.done]
    machines = {(r.device, r.processes) for r in rows if r.device}
    if len(machines) > 1:
        notes[''] = (
            'Rows ran on different devices: their images/s and peak memory '
            'do not compare.'
        )
    return list(notes.items())


def to_markdown(
    tables: Sequence[Table], title: str, notes: ColumnNotes
) -> str:
    """Write tables as Markdown."""
    parts = [f'# {escape(title)}\n']
    for table in tables:
        parts += [f'## {escape(table.data_set)}\n', _results(table)]
        if any(row.record.device for row in table.done):
            parts.append(_costs(table.done))
    parts += [f'- **{name}**: {text}' for name, text in notes if name]
    parts += [f'\n{text}' for name, text in notes if not name]
    return '\n'.join(parts) + '\n'


def to_csv(tables: Sequence[Table]) -> str:
    """Write all rows as CSV, a line each, every number in full."""
    lines = [
        _csv_line(table, place, row)
        for table in tables
        for place, row in enumerate(table.rows)
    ]
    names = dict.fromkeys(name for line in lines for name in line)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(names), lineterminator='\n')
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def to_latex(tables: Sequence[Table]) -> str:
    """Write the ranked rows as tables of LaTeX's booktabs."""
    lines = []
    for table in tables:
        names = table.metric_names
        head = ['', 'boxes', *names, 'M parameters', 'GFLOPs', 'images/s']
        lines += [
            f'% {table.data_set}',
            f'\\begin{{tabular}}{{ll{"r" * (len(head) - 2)}}}',
            '\\toprule',
            _latex_line(head),
            '\\midrule',
        ]
        for row in table.done:
            values = [row.metrics.get(name) for name in names]
            record = row.record
            values += [record.million_parameters, record.gflops]
            cells = [row.label, row.boxes, *map(_number, values)]
            cells.append(_number(record.images_per_second, '.1f'))
            lines.append(_latex_line(cells))
        lines += ['\\bottomrule', '\\end{tabular}', '']
    return '\n'.join(lines)


def to_html(
    tables: Sequence[Table],
    title: str,
    notes: ColumnNotes,
    folder: Path = Path(),
) -> str:
    """Write tables as a page that needs no other file, for ``folder``."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests['missing'] = is_missing
    environment.filters.update(
        percent=lambda part: f'{100 * min(max(part, 0.0), 1.0):.2f}%',
        base64=lambda content: base64.b64encode(content).decode(),
        link=lambda path: Path(os.path.relpath(path, folder)).as_posix(),
        plots=make_plots,
    )
    page = environment.get_template('page.html')
    return page.render(
        tables=tables,
        title=title,
        notes=notes,
        csv=to_csv(tables).encode(),
        latex=to_latex(tables).encode(),
    )


class Plot(NamedTuple):
    """The ranking metric against a cost, on a logarithmic axis.

    Points (x, y, row, its place from 1) and ticks (place, text) lie at parts
    of the axes' lengths from the lower left.
    """

    cost: str
    points: list[tuple[float, float, Row, int]]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]


def make_plots(table: Table) -> list[Plot]:
    """Plot a table's rows against each cost that at least two have."""
    plots = []
    for cost, name in COSTS.items():
        found = [
            (vars(row.record)[cost], row.metrics[table.rank_by], row, number)
            for number, row in enumerate(table.rows, start=1)
            if row.rank and vars(row.record)[cost]
        ]
        if len(found) < 2:
            continue
        low = min(x for x, *_ in found) / 1.5
        high = max(x for x, *_ in found) * 1.5
        top = max(1e-9, *(y for _, y, *_ in found)) * 1.1
        length = math.log(high / low)
        costs = LogLocator(10, (1, 2, 5)).tick_values(low, high)
        values = MaxNLocator(5, steps=(1, 2, 5, 10)).tick_values(0, top)
        plots.append(
            Plot(
                name,
                [
                    (math.log(x / low) / length, max(y, 0) / top, *of)
                    for x, y, *of in found
                ],
                [
                    (math.log(tick / low) / length, f'{tick:g}')
                    for tick in costs
                    if low <= tick <= high
                ],
                [(tick / top, f'{tick:g}') for tick in values if tick <= top],
            )
        )
    return plots


def _results(table: Table) -> str:
    first, *others = table.metric_names
    rows = []
    for place, row in enumerate(table.rows):
        cells = [_number(row.rank, 'd'), row.label, row.boxes]
        if row.record is None:
            cells += [f'failed: {row.failure}', *[''] * (len(others) + 2)]
        else:
            cells += [_number(row.metrics.get(first)), _interval(row)]
            cells += [_number(row.metrics.get(name)) for name in others]
            cells.append(_against_best(table, place))
        rows.append(cells)
    head = ['rank', 'model', 'boxes', first, '95%', *others]
    return markdown_table([*head, f'{first} less the best, p'], rows)


def _costs(rows: Sequence[Row]) -> str:
    head = [
        'model', 'boxes', 'parameters (M)', 'GFLOPs', 'of', 'images/s',
        'peak memory (MiB)', 'device', 'processes', 'date', 'config',
        'checkpoint (SHA-256)',
    ]  # fmt: skip
    body = [
        [
            row.label,
            row.boxes,
            _number(row.record.million_parameters, '.2f'),
            _number(row.record.gflops),
            row.record.gflops_input or MISSING,
            row.record.speed or MISSING,
            _number(row.record.peak_memory_mib, '.0f'),
            row.record.device,
            row.record.processes,
            row.record.date,
            f'`{row.config}`',
            f'`{Path(row.checkpoint).name}` ({row.checkpoint_sha256[:8]})',
        ]
        for row in rows
        if row.record.device
    ]
    return markdown_table(head, body)


def _against_best(table: Table, place: int) -> str:
    """AP less that of the best of its boxes, its interval, the test's p."""
    if table.best_of_boxes(place) == place and table.rows[place].rank:
        return 'best'
    found = table.against_best(place)
    if found is None:
        return MISSING
    p = 'p < 0.001' if found.p_value < 0.001 else f'p = {found.p_value:.3f}'
    return (
        f'{found.difference:+.3f} [{found.low:+.3f}, {found.high:+.3f}], {p}'
    )


def _csv_line(table: Table, place: int, row: Row) -> dict:
    names = ('data_set', 'rank', 'model', 'origin', 'boxes', 'failure')
    line = {name: getattr(row, name) for name in names}
    for name, value in row.metrics.items():
        line[name] = None if is_missing(value) else value
    low, high = row.interval or (None, None)
    line.update({f'{table.rank_by} low': low, f'{table.rank_by} high': high})
    best = table.against_best(place)
    for key in ('difference', 'low', 'high', 'p_value'):
        line[f'less best, {key}'] = best and getattr(best, key)
    if row.record is not None:
        record = dict(vars(row.record))
        del record['metrics'], record['sigmas']
        line.update(record)
    names = ('config', 'checkpoint', 'checkpoint_sha256', 'source')
    return line | {name: getattr(row, name) for name in names}


def _interval(row: Row) -> str:
    if row.interval is None:
        return MISSING
    return f'{row.interval[0]:.3f} to {row.interval[1]:.3f}'


def _number(value: float | None, form: str = '.3f') -> str:
    return MISSING if is_missing(value) else format(value, form)


def _latex_line(cells: Sequence[str]) -> str:
    """A line of a table, with what LaTeX reads as commands escaped."""
    signs = {sign: f'\\{sign}' for sign in '&%$#_{}'}
    signs |= {'\\': r'\textbackslash{}', '~': r'\textasciitilde{}'}
    signs |= {'^': r'\textasciicircum{}', '<': '$<$', '>': '$>$'}
    escaped = [''.join(signs.get(c, c) for c in cell) for cell in cells]
    return ' & '.join(escaped) + ' \\\\'
