"""Accuracy against cost: the points and ticks of a page's plots."""

import math
from typing import NamedTuple

from .tables import Row, Table

# Fields of a record, and what they are called.
COSTS = {'gflops': 'GFLOPs', 'images_per_second': 'images/s'}


class Point(NamedTuple):
    """A row at (x, y), parts of the axes' lengths from the lower left."""

    x: float
    y: float
    row: Row
    number: int


class Plot(NamedTuple):
    """The ranking metric against a cost, on a logarithmic axis.

    Ticks are pairs of a part of the axis and the text there.
    """

    cost: str
    points: list[Point]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]


def make_plots(table: Table) -> list[Plot]:
    """Plot a table's rows against each cost that at least two have.

    Points are numbered by the places of their rows, from 1.
    """
    plots = []
    for cost, name in COSTS.items():
        found = [
            (
                number,
                row,
                getattr(row.record, cost),
                row.metrics[table.rank_by],
            )
            for number, row in enumerate(table.rows, start=1)
            if row.rank and vars(row.record)[cost]
        ]
        if len(found) < 2:
            continue
        _, _, costs, values = zip(*found, strict=True)
        low = math.log10(min(costs) / 1.5)
        length = math.log10(max(costs) * 1.5) - low
        height = max(*values, 1e-9) * 1.1
        plots.append(
            Plot(
                name,
                [
                    Point(
                        (math.log10(cost) - low) / length,
                        max(value, 0) / height,
                        row,
                        number,
                    )
                    for number, row, cost, value in found
                ],
                [
                    ((math.log10(tick) - low) / length, f'{tick:g}')
                    for tick in _log_ticks(low, low + length)
                ],
                [(tick / height, f'{tick:g}') for tick in _ticks(height)],
            )
        )
    return plots


def _log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten between two logarithms."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    ticks = [float(f'{n}e{power}') for power in powers for n in (1, 2, 5)]
    return [tick for tick in ticks if low <= math.log10(tick) <= high]


def _ticks(high: float) -> list[float]:
    """At most six round numbers from 0 up to a value."""
    power = 10 ** math.floor(math.log10(high / 5))
    step = next(n * power for n in (1, 2, 5, 10) if high / (n * power) <= 5)
    return [round(step * i, 12) for i in range(int(high / step) + 1)]
