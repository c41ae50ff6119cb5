"""Tables and the plot of RMPE's ablation."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean, stdev

import numpy as np
from matplotlib.figure import Figure

from .box_perturbation import AMPLIFICATION
from .box_robustness import CURVES
from .rmpe_ablation import CURVE_MODELS, ROWS, AblationRow, SeedResult

# Name in the table -> name that COCO's evaluation gives.
METRICS = {'AP': 'AP', 'AP50': 'AP .5', 'AR': 'AR'}
SIZES = {
    'shift': 'shift / box side',
    'scale': 'larger side / smaller side - 1',
    'truncation': 'part cut off',
    AMPLIFICATION: "detector's error times",
}
COLOURS = {'plain': 'tab:orange', 'parallel': 'tab:blue'}


def write_report(
    results: Sequence[SeedResult], folder: str | Path, setting: str
) -> Path:
    """Write ``results.md``, ``results.json`` and ``robustness.png``.

    Args:
        results (Sequence): What each seed gave.
        folder (str | Path): Where to; it is made.
        setting (str): What was run, for the head of the page.

    Returns:
        Path: The Markdown page.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    draw_curves(results).savefig(folder / 'robustness.png', dpi=90)
    content = dict(
        setting=setting,
        rows=[
            dict(
                asdict(row),
                runs=row.runs,
                **{name: row_values(results, row, name) for name in METRICS},
            )
            for row in ROWS
        ],
        doubling_losses={
            model: doubling_losses(results, model) for model in CURVE_MODELS
        },
        seeds=[asdict(result) for result in results],
    )
    (folder / 'results.json').write_text(
        json.dumps(content, indent=1), encoding='utf-8'
    )
    page = folder / 'results.md'
    page.write_text(
        f'# RMPE, part by part\n\n{setting}\n\n{ablation_table(results)}\n'
        f'{commands_of_rows(results[0])}\n## Robustness to box errors\n\n'
        f'![AP against the size of the box error](robustness.png)\n\n'
        f'{curve_tables(results)}\n{doubling_summary(results)}\n',
        encoding='utf-8',
    )
    return page


def row_values(
    results: Sequence[SeedResult], row: AblationRow, metric: str
) -> list[float]:
    """A row's metric with each seed.

    Args:
        results (Sequence): What each seed gave.
        row (AblationRow): The row.
        metric (str): ``'AP'``, ``'AP50'`` or ``'AR'``.

    Returns:
        list[float]: The values, in the order of the seeds.
    """
    key = f'{row.nms}/{METRICS[metric]}'
    return [result.metrics[row.test][key] for result in results]


def ablation_table(results: Sequence[SeedResult]) -> str:
    """The rows with mean and standard deviation over the seeds.

    Args:
        results (Sequence): What each seed gave.

    Returns:
        str: A Markdown table. Its last column is the gain in AP over the
        plain model, seed by seed.
    """
    lines = [
        f'| | {" | ".join(METRICS)} | AP over plain |',
        '|---|' + '---|' * (len(METRICS) + 1),
    ]
    plain = row_values(results, ROWS[0], 'AP')
    for row in ROWS:
        cells = [spread(row_values(results, row, name)) for name in METRICS]
        gains = np.subtract(row_values(results, row, 'AP'), plain).tolist()
        cells.append('' if row is ROWS[0] else spread(gains, '+.3f'))
        lines.append(f'| {row.label} | {" | ".join(cells)} |')
    return '\n'.join(lines) + '\n'


def commands_of_rows(result: SeedResult) -> str:
    """The commands of each row with one seed.

    Args:
        result (SeedResult): What one seed gave.

    Returns:
        str: Markdown; a run that several rows share is listed once.
    """
    uses = {}
    for row in ROWS:
        for name in row.runs:
            uses.setdefault(name, []).append(f'{row.label} ({row.nms})')
    lines = [f'Commands with seed {result.seed}:', '']
    for name, rows in uses.items():
        lines.append(f'- `{result.commands[name]}` for: {"; ".join(rows)}')
    for name, row in CURVE_MODELS.items():
        command = result.commands[f'curves_{name}']
        lines.append(f'- `{command}` for: curves of {row.label}')
    return '\n'.join(lines) + '\n'


def curve_values(
    results: Sequence[SeedResult], model: str, kind: str
) -> dict[float, list[float]]:
    """AP against the size of the box error.

    Args:
        results (Sequence): What each seed gave.
        model (str): A key of ``CURVE_MODELS``.
        kind (str): The kind of error.

    Returns:
        dict: The APs with each seed, by size.
    """
    key = f'{CURVE_MODELS[model].nms}/AP'
    values = {}
    for result in results:
        for point in result.curves[model]:
            if point.kind == kind:
                values.setdefault(point.size, []).append(point.metrics[key])
    return values


def curve_tables(results: Sequence[SeedResult]) -> str:
    """AP against the size of the box error, a table a kind.

    Args:
        results (Sequence): What each seed gave.

    Returns:
        str: Markdown tables.
    """
    labels = ' | '.join(row.label for row in CURVE_MODELS.values())
    text = ''
    for kind in CURVES:
        text += f'| {SIZES[kind]} | {labels} |\n|---|---|---|\n'
        columns = [curve_values(results, name, kind) for name in CURVE_MODELS]
        for size in columns[0]:
            cells = ' | '.join(spread(column[size]) for column in columns)
            text += f'| {size:g} | {cells} |\n'
        text += '\n'
    return text


def doubling_losses(results: Sequence[SeedResult], model: str) -> list[float]:
    """The AP lost when box errors double from the detector's.

    Args:
        results (Sequence): What each seed gave.
        model (str): A key of ``CURVE_MODELS``.

    Returns:
        list[float]: AP at 1 times less AP at 2 times the detector's error,
        with each seed.
    """
    values = curve_values(results, model, AMPLIFICATION)
    return np.subtract(values[1.0], values[2.0]).tolist()


def doubling_summary(results: Sequence[SeedResult]) -> str:
    """Say what both models lose when box errors double.

    Args:
        results (Sequence): What each seed gave.

    Returns:
        str: Markdown.
    """
    losses = {name: doubling_losses(results, name) for name in CURVE_MODELS}
    parts = [
        f'{row.label} loses {spread(losses[name])} AP'
        for name, row in CURVE_MODELS.items()
    ]
    text = "When box errors double from the detector's, "
    text += ', '.join(parts)
    plain = mean(losses['plain'])
    if plain > 0:
        share = mean(losses['parallel']) / plain
        text += f': {share:.2f} of what the plain model loses'
    return text + '.'


def draw_curves(results: Sequence[SeedResult]) -> Figure:
    """Draw AP against the size of the box error, a panel a kind.

    Args:
        results (Sequence): What each seed gave.

    Returns:
        Figure: Means over the seeds, with bands of a standard deviation.
    """
    figure = Figure(figsize=(3.4 * len(CURVES), 3.4), layout='constrained')
    all_axes = figure.subplots(1, len(CURVES), sharey=True)
    for axes, kind in zip(all_axes, CURVES, strict=True):
        for name, row in CURVE_MODELS.items():
            values = curve_values(results, name, kind)
            sizes = np.array(list(values))
            means = np.array([mean(v) for v in values.values()])
            axes.plot(sizes, means, 'o-', color=COLOURS[name], label=row.label)
            if len(results) > 1:
                spreads = np.array([stdev(v) for v in values.values()])
                axes.fill_between(
                    sizes,
                    means - spreads,
                    means + spreads,
                    color=COLOURS[name],
                    alpha=0.2,
                    linewidth=0,
                )
        if kind == AMPLIFICATION:
            axes.axvline(1, color='grey', linewidth=0.8, linestyle=':')
        axes.set_title(kind)
        axes.set_xlabel(SIZES[kind])
        axes.grid(alpha=0.3)
    all_axes[0].set_ylabel('AP')
    all_axes[0].set_ylim(bottom=0)
    all_axes[0].legend(loc='lower left')
    return figure


def spread(values: Sequence[float], form: str = '.3f') -> str:
    """Mean and, of several values, sample standard deviation.

    Args:
        values (Sequence): The values with each seed.
        form (str): How to write the mean. Defaults to '.3f'.

    Returns:
        str: For instance ``0.512 ± 0.004``.
    """
    text = f'{mean(values):{form}}'
    return f'{text} ± {stdev(values):.3f}' if len(values) > 1 else text
