"""Scores against the size of the box errors: models on many sets of boxes."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from ..errors import ConfigError
from ..experiments.box_errors import AMPLIFICATION
from ..markdown import markdown_table
from .spec import BoxSource
from .tables import Row, build_tables

# The sizes of each kind of error on a curve.
SIZES = {
    'shift': (0.0, 0.2, 0.4),
    'scale': (0.0, 0.667, 1.222),
    'truncation': (0.0, 0.3, 0.5),
    AMPLIFICATION: (1.0, 2.0, 3.0),
}
# What a size is.
UNITS = {
    'shift': 'shift / box side',
    'scale': 'larger side / smaller side - 1',
    'truncation': 'part cut off',
    AMPLIFICATION: "detector's error times",
}
POINTS = [(kind, size) for kind, sizes in SIZES.items() for size in sizes]


class CurvePoint(NamedTuple):
    """A score, and what it has over the first model's, with interval."""

    score: float
    gain: tuple[float, float, float] | None = None


# The points of each model, by its name, and kind and size of the error.
Curves = Mapping[str, Mapping[tuple[str, float], CurvePoint]]


def box_sources(
    detections: str | None, seed: int = 0
) -> dict[tuple[str, float], BoxSource]:
    """Return the source of boxes of each kind and size of error."""
    sources = {}
    for kind, size in POINTS:
        file = detections if kind == AMPLIFICATION else None
        if size == 0:  # of all kinds the annotated boxes
            sources[kind, size] = BoxSource('ground_truth')
        elif kind != AMPLIFICATION or file:
            sources[kind, size] = BoxSource(
                'perturbed', error=kind, size=size, seed=seed, file=file
            )
    return sources


def read_curves(
    rows: Sequence[Row],
    sources: Mapping[tuple[str, float], BoxSource],
    rank_by: str = 'AP',
    num_resamples: int = 1000,
) -> Curves:
    """Order what models reached on all sources of :func:`box_sources`."""
    (table,) = build_tables(rows, rank_by, num_resamples, pictures=False)
    known = set.intersection(*(set(row.metrics) for row in rows))
    if rank_by not in known:
        raise ConfigError(
            f'the evaluators give no {rank_by!r}: rank by one of '
            f'{", ".join(sorted(known))}'
        )
    places = {(r.model, r.boxes): i for i, r in enumerate(table.rows)}
    different = list(dict.fromkeys(sources.values()))
    models = list(dict.fromkeys(row.model for row in rows))
    curves = {}
    for number, model in enumerate(models):
        own = rows[number * len(different) :]
        boxes = {
            point: own[different.index(source)].boxes
            for point, source in sources.items()
        }
        curves[model] = {}
        for point, name in boxes.items():
            here, first = places[model, name], places[models[0], name]
            found = table.difference(here, first)
            gain = found and (found.difference, found.low, found.high)
            score = table.rows[here].metrics[rank_by]
            curves[model][point] = CurvePoint(score, gain)
    return curves


def curve_table(curves: Curves) -> str:
    """Write the scores, and the others' gains over the first model."""
    first, *_ = curves.values()
    rows = []
    for kind, size in first:
        cells = []
        for points in curves.values():
            score, gain = points[kind, size]
            cells.append(f'{score:.3f}')
            if gain:
                cells[-1] += ' ({:+.3f}: {:+.3f} to {:+.3f})'.format(*gain)
        row = [kind if size else 'none', f'{size:g}', *cells]
        if row not in rows:
            rows.append(row)
    return markdown_table(['box error', 'size', *curves], rows)


def doubling_summary(curves: Curves) -> str:
    """Say what models lose from 1 to 2 times the detector's errors."""
    losses = {
        name: points[AMPLIFICATION, 1.0].score
        - points[AMPLIFICATION, 2.0].score
        for name, points in curves.items()
    }
    first, *_ = losses.values()
    parts = [
        f'{name} loses {loss:.3f}'
        + (f' ({loss / first:.2f} of the first)' if first > 0 else '')
        for name, loss in losses.items()
    ]
    return f'When the errors double from the detector, {", ".join(parts)}.'


def draw_curves(curves: Curves) -> Figure:
    """Draw the score against the size of the error, a panel a kind."""
    figure = Figure(figsize=(3.4 * len(UNITS), 3.4), layout='constrained')
    all_axes = figure.subplots(1, len(UNITS), sharey=True)
    for axes, kind in zip(all_axes, UNITS, strict=True):
        for name, points in curves.items():
            line = [(s, p.score) for (k, s), p in points.items() if k == kind]
            if line:
                axes.plot(*zip(*line, strict=True), 'o-', label=name)
        axes.set_title(kind)
        axes.set_xlabel(UNITS[kind])
        axes.grid(alpha=0.3)
    all_axes[0].set_ylabel('AP')
    all_axes[0].set_ylim(bottom=0)
    all_axes[0].legend(loc='lower left')
    return figure
