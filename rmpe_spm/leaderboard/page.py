"""A leaderboard as one HTML page that needs nothing else."""

import base64
import json
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from .tables import Row, Table, is_missing, joint_label

TEMPLATE = Path(__file__).with_name('page.html')


def to_html(tables: Sequence[Table], title: str, notes: str) -> str:
    """Write tables as a page that sorts, compares rows and shows pictures.

    Args:
        tables (sequence): The tables, one a data set.
        title (str): The heading.
        notes (str): How the numbers came about, a paragraph a line; a line
            ``- **name**: text`` defines a column.

    Returns:
        str: The page.
    """
    page = TEMPLATE.read_text(encoding='utf-8')
    parts = {
        '@title@': escape(title),
        '@tables@': '\n'.join(map(_section, tables)),
        '@notes@': _definitions(notes),
    }
    for mark, content in parts.items():
        page = page.replace(mark, content)
    return page


def _section(table: Table) -> str:
    done = [row for row in table.rows if row.record]
    boxes = dict.fromkeys(row.boxes for row in table.rows)
    choices = [_option('', 'all'), *[_option(each, each) for each in boxes]]
    return '\n'.join(
        [
            '<section>',
            f'<h2>{escape(table.data_set)}</h2>',
            '<div class="controls"><label>boxes <select class="boxes">'
            f'{"".join(choices)}</select></label></div>',
            _table(table),
            _chooser(table),
            _joints(table, done),
            _pictures(table.rows),
            '</section>',
        ]
    )


def _table(table: Table) -> str:
    names = table.metric_names
    heads = [_head('rank', 'ascending'), _head('model', kind='text')]
    heads += [_head('boxes', kind='text')]
    heads += [_head(name) for name in names]
    heads += [
        _head('parameters (M)', 'ascending'),
        _head('GFLOPs', 'ascending'),
        _head('images/s'),
        _head('memory (MiB)', 'ascending'),
        _head('device', kind='text'),
        _head('date', kind='text'),
    ]
    rows = [_row(table, row, names, len(heads)) for row in table.rows]
    return _grid(heads, rows)


def _row(table: Table, row: Row, names: Sequence[str], width: int) -> str:
    about = f'{row.config}, {row.checkpoint} (SHA-256 {row.checkpoint_sha256})'
    cells = [
        _cell(row.rank, 'd'),
        _text(row.model, 'model', title=about),
        _text(row.boxes),
    ]
    if row.record is None:
        reason = escape(f'failed: {row.failure}')
        cells.append(f'<td class="reason" colspan="{width - 3}">{reason}</td>')
        return _tr(row, cells)
    record = row.record
    cells.append(_bar_cell(row, table))
    cells += [_cell(row.metrics.get(name)) for name in names[1:]]
    cells += [
        _cell(record.parameters / 1e6, '.2f'),
        _cell(record.gflops, '.3f', title=record.gflops_input),
        _cell(record.images_per_second, '.1f'),
        _cell(record.peak_memory_mib, '.0f'),
        _text(
            record.device
            + (f' x {record.processes}' if record.processes > 1 else '')
        ),
        _text(record.date),
    ]
    return _tr(row, cells)


def _joints(table: Table, rows: Iterable[Row]) -> str:
    names = table.joint_names
    if not names:
        return ''
    heads = [_head('model', kind='text'), _head('boxes', kind='text')]
    heads += [_head(joint_label(name)) for name in names]
    lines = []
    for row in rows:
        cells = [_text(row.model, 'model'), _text(row.boxes)]
        for name in names:
            cells.append(_cell(row.record.joints.get(name), '.2f', bar=True))
        lines.append(_tr(row, cells))
    title = f'<h3>{escape(table.joint_measure)} of each joint</h3>'
    return title + _grid(heads, lines)


def _chooser(table: Table) -> str:
    """Two rows to choose, and the numbers of every pair."""
    if not table.comparisons:
        return ''
    places = sorted({place for pair in table.comparisons for place in pair})
    labels = {
        place: f'{table.rows[place].rank}. {table.rows[place].model}, '
        f'boxes: {table.rows[place].boxes}'
        for place in places
    }

    def select(name: str, chosen: int) -> str:
        options = [
            _option(str(place), label, place == chosen)
            for place, label in labels.items()
        ]
        return f'<label>{name} <select>{"".join(options)}</select></label>'

    data = dict(
        metric=table.rank_by,
        pairs={
            f'{first},{second}': [
                each.difference,
                each.low,
                each.high,
                each.p_value,
            ]
            for (first, second), each in table.comparisons.items()
        },
    )
    # "</" would end the script
    text = json.dumps(data).replace('</', '<\\/')
    return (
        '<h3>Compare two rows</h3><div class="controls chooser">'
        f'{select("first", places[0])}{select("second", places[1])}</div>'
        '<p class="verdict" aria-live="polite"></p>'
        f'<script type="application/json">{text}</script>'
    )


def _pictures(rows: Iterable[Row]) -> str:
    figures = []
    for row in rows:
        if not row.pictures:
            continue
        images = ''.join(
            f'<img alt="{escape(path.stem)}" '
            f'src="data:image/jpeg;base64,{_base64(path)}">'
            for path in row.pictures
        )
        caption = escape(f'{row.model}, boxes: {row.boxes}')
        figures.append(
            f'<figure data-boxes="{escape(row.boxes)}"><figcaption>{caption}'
            f'</figcaption><div class="pictures">{images}</div></figure>'
        )
    if not figures:
        return ''
    return (
        '<details><summary>Pictures: annotated people on the left, '
        f'predictions on the right</summary>{"".join(figures)}</details>'
    )


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode('ascii')


def _bar_cell(row: Row, table: Table) -> str:
    """The value that ranks, with a bar and the interval as a line."""
    value = row.metrics.get(table.rank_by)
    if is_missing(value):
        return _cell(None)
    values = [each.metrics.get(table.rank_by) for each in table.rows]
    largest = max(each for each in values if not is_missing(each))
    full = 100 if largest > 1 else 1  # some metrics are in percent
    low, high = row.interval or (None, None)
    title, whisker = '', ''
    if low is not None:
        title = f'95% interval {low:.3f} to {high:.3f}'
        whisker = (
            f'<b style="left:{_percent(low / full)};'
            f'width:{_percent((high - low) / full)}"></b>'
        )
    return (
        f'<td data-value="{value!r}" title="{title}">{value:.3f}'
        f'<span class="bar"><i style="width:{_percent(value / full)}"></i>'
        f'{whisker}</span></td>'
    )


def _cell(
    value: float | None, form: str = '.3f', title: str = '', bar: bool = False
) -> str:
    if is_missing(value):
        return '<td data-value="">-</td>'
    about = f' title="{escape(title)}"' if title else ''
    about += f' class="cell" style="--part:{_percent(value)}"' if bar else ''
    return f'<td data-value="{value!r}"{about}>{value:{form}}</td>'


def _text(text: str, kind: str = '', title: str = '') -> str:
    about = f' title="{escape(title)}"' if title else ''
    return f'<td class="text {kind}"{about}>{escape(text)}</td>'


def _head(name: str, first: str = 'descending', kind: str = '') -> str:
    first = 'ascending' if kind == 'text' else first
    return (
        f'<th scope="col" class="{kind}" data-first="{first}" '
        f'aria-sort="none"><button type="button">{escape(name)}</button></th>'
    )


def _tr(row: Row, cells: Iterable[str]) -> str:
    return f'<tr data-boxes="{escape(row.boxes)}">{"".join(cells)}</tr>'


def _grid(heads: Iterable[str], rows: Iterable[str]) -> str:
    body = '\n'.join(rows)
    return (
        '<div class="scroll"><table class="sortable"><thead><tr>'
        f'{"".join(heads)}</tr></thead><tbody>\n{body}\n</tbody></table></div>'
    )


def _option(value: str, label: str, chosen: bool = False) -> str:
    selected = ' selected' if chosen else ''
    return (
        f'<option value="{escape(value)}"{selected}>{escape(label)}</option>'
    )


def _percent(part: float) -> str:
    return f'{100 * min(max(part, 0.0), 1.0):.2f}%'


def _definitions(notes: str) -> str:
    """Notes as paragraphs, and their list as definitions."""
    parts = []
    for line in notes.splitlines():
        if line.startswith('- **'):
            name, _, text = line[4:].partition('**: ')
            parts.append(
                f'<dl><dt>{escape(name)}</dt><dd>{escape(text)}</dd></dl>'
            )
        elif line.strip():
            parts.append(f'<p>{escape(line)}</p>')
    return '\n'.join(parts)
