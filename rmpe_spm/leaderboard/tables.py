"""Rows of a leaderboard, ranked."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path

from ..coco.bootstrap import PairedDifference
from ..coco.ground_truth import PoseSet
from ..engine.hooks import GROUND_TRUTH, GROUPS
from ..experiments.runs import RunFolder
from ..mpii.ap import MpiiMatches
from .entries import PreparedEntry
from .measure import Record

# mmpose's names of COCO's metrics, by the names that tables use.
SHORT_NAMES = {
    'AP .5': 'AP50',
    'AP .75': 'AP75',
    'AP (M)': 'APM',
    'AP (L)': 'APL',
    'AR .5': 'AR50',
    'AR .75': 'AR75',
    'AR (M)': 'ARM',
    'AR (L)': 'ARL',
    'AP(E)': 'AP easy',
    'AP(M)': 'AP medium',
    'AP(H)': 'AP hard',
}


@dataclass
class Row:
    """A row of a table: a model's, or without one a file's or a paper's.

    ``prepared`` and ``run`` are None where no model is run; ``poses`` are of a
    file of results.
    """

    data_set: str
    model: str
    boxes: str
    config: str = ''
    checkpoint: str = ''  # or the file of results
    checkpoint_sha256: str = ''
    record: Record | None = None  # None where it failed
    failure: str = ''
    origin: str = ''  # without a model 'result file' or 'published'
    source: str = ''  # where it was published
    rank_by: str | None = None  # the data set's own metric
    prepared: PreparedEntry | None = None
    run: RunFolder | None = None
    poses: PoseSet | MpiiMatches | None = None
    cached: bool = False  # whether its result was there before
    interval: tuple[float, float] | None = None  # of AP, 95%
    pictures: list[Path] = field(default_factory=list)  # JPEG
    rank: int | None = None  # among the rows of the same source of boxes

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics by their short names."""
        return short_metrics(self.record.metrics) if self.record else {}

    @property
    def label(self) -> str:
        """The model's name, and what the row is if no model was run."""
        return f'{self.model} ({self.origin})' if self.origin else self.model

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f'{self.label}, {self.data_set}, boxes: {self.boxes}'

    @property
    def is_oracle(self) -> bool:
        """Whether its boxes, or the places of groups, are annotated."""
        return self.boxes.startswith(GROUND_TRUTH) or self.boxes == GROUPS


@dataclass
class Table:
    """All rows of one data set, best first.

    ``comparisons`` have by (place of a row, place of a later row) the first's
    AP less the second's on the same images.
    """

    data_set: str
    rank_by: str
    rows: list[Row]
    comparisons: dict[tuple[int, int], PairedDifference] = field(
        default_factory=dict
    )

    @property
    def done(self) -> list[Row]:
        """The rows that did not fail."""
        return [row for row in self.rows if row.record]

    def best_of_boxes(self, place: int) -> int:
        """The place of the best row of the same source of boxes."""
        boxes = [row.boxes for row in self.rows]
        return boxes.index(boxes[place])

    def difference(self, one: int, other: int) -> PairedDifference | None:
        """A row's AP less that of another, if they compare."""
        found = self.comparisons.get((min(one, other), max(one, other)))
        if found is None or one < other:
            return found
        turned = found.difference, found.high, found.low
        return PairedDifference(*(0.0 - x for x in turned), found.p_value)

    def against_best(self, place: int) -> PairedDifference | None:
        """A row's AP less the best one's of its boxes, if they compare."""
        return self.difference(place, self.best_of_boxes(place))

    @property
    def pairs(self) -> dict[str, list[float]]:
        """The comparisons by "place,place", as JSON has them."""
        return {
            f'{first},{second}': list(astuple(found))
            for (first, second), found in self.comparisons.items()
        }

    @property
    def full_bar(self) -> int:
        """What a whole bar stands for: some metrics are in percent."""
        values = [row.metrics.get(self.rank_by) for row in self.done]
        return 100 if any(v > 1 for v in values if not is_missing(v)) else 1

    @property
    def metric_names(self) -> list[str]:
        """All rows' metrics, the one that ranks first."""
        names = itertools.chain(
            [self.rank_by], *(r.metrics for r in self.rows)
        )
        return list(dict.fromkeys(names))


def make_table(data_set: str, rows: Sequence[Row], rank_by: str) -> Table:
    """Rank rows by a metric among those of the same boxes; sets their ranks.

    The source of the best row stands first, but annotated boxes after all
    others; rows that lack the metric follow, and those that failed are last.
    """
    values = {id(row): row.metrics.get(rank_by) for row in rows}
    ranked: dict[str, list[float]] = {}
    for row in rows:
        value, row.rank = values[id(row)], None
        if not is_missing(value):
            ranked.setdefault(row.boxes, []).append(value)
    best = {boxes: max(found) for boxes, found in ranked.items()}

    def place(row: Row) -> tuple:
        value = values[id(row)]
        if is_missing(value):
            return (2 if row.record is None else 1,)
        row.rank = 1 + sum(each > value for each in ranked[row.boxes])
        return 0, row.is_oracle, -best[row.boxes], row.boxes, row.rank

    return Table(data_set, rank_by, sorted(rows, key=place))


def short_metrics(metrics: dict[str, float]) -> dict[str, float]:
    """Metrics by the common names, without a prefix that no two differ in."""
    bare = [name.rpartition('/')[2] for name in metrics]
    return {
        name if bare.count(tail) > 1 else SHORT_NAMES.get(tail, tail): value
        for name, tail, value in zip(
            metrics, bare, metrics.values(), strict=True
        )
    }


def is_missing(value: float | None) -> bool:
    """Tell whether a cell has no number to show: None, or NaN."""
    return value is None or math.isnan(value)
