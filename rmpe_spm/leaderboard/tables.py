"""Rows of a leaderboard, ranked and compared."""

import itertools
import logging
import math
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from ..coco.bootstrap import (
    NobodyToFind,
    PairedDifference,
    bootstrap_ap,
    paired_bootstrap,
)
from ..coco.ground_truth import PoseSet
from ..coco.keypoint_ap import PoseMatches, match_poses
from ..engine.hooks import GROUND_TRUTH, GROUPS
from ..experiments.runs import RunFolder
from ..mpii.ap import COLUMNS, MpiiMatches
from .entries import PreparedEntry
from .measure import MPII_MATCHES, PICTURES, Record, evaluated_poses

SEED = 0  # of the resamples, the same for every row

# The metric's AP and that of the resamples are the same numbers.
_ROUNDING = 1e-4

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


def build_tables(
    rows: Sequence[Row],
    rank_by: str,
    num_resamples: int,
    pictures: bool = True,
) -> list[Table]:
    """Rank and compare the rows of every data set, in the entries' order."""
    # tables name data sets and rank rows; those given stay as they are
    rows = [replace(row) for row in rows]
    _tell_apart(rows)
    # what failed before its data set was known stands in the first table
    names = [row.data_set for row in rows if row.data_set] or ['no data set']
    for row in rows:
        row.data_set = row.data_set or names[0]
    tables = []
    for name in dict.fromkeys(row.data_set for row in rows):
        own = [row for row in rows if row.data_set == name]
        metric = next((row.rank_by for row in own if row.rank_by), rank_by)
        table = make_table(name, own, metric)
        add_statistics(table, num_resamples)
        for row in table.rows:
            if pictures and row.run is not None and row.record:
                folder = row.run.folder / PICTURES
                row.pictures = sorted(folder.glob('*.jpg'))
        tables.append(table)
    return tables


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


def add_statistics(table: Table, num_resamples: int = 1000) -> None:
    """Add intervals and comparisons to a table, in place."""
    scores: dict[int, ResampledRow] = {}
    for place, row in enumerate(table.rows):
        with suppress(NobodyToFind):
            matches = _matches(row, table.rank_by)
            if matches is not None:
                score = ResampledRow(matches)
                found = bootstrap_ap(score, _rng(), num_resamples)
                row.interval, scores[place] = (found.low, found.high), score
    for pair in itertools.combinations(scores, 2):
        one, other = (scores[place] for place in pair)
        if one.image_ids == other.image_ids:
            table.comparisons[pair] = paired_bootstrap(
                one, other, _rng(), num_resamples
            )


class ResampledRow:
    """The AP of a row on the resamples of :data:`SEED`, computed once."""

    def __init__(self, matches: PoseMatches | MpiiMatches) -> None:
        self.image_ids, self._matches = matches.image_ids, matches
        self._values: np.ndarray | None = None

    def ap(self, counts: np.ndarray | None = None) -> np.ndarray:
        """AP (B,) with images counted ``counts`` (B, I) times, else once."""
        if counts is None:
            return self._matches.ap()
        if self._values is None:
            self._values = self._matches.ap(counts)
        return self._values


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


def _rng() -> np.random.Generator:
    return np.random.default_rng(SEED)


def _scored(row: Row) -> PoseSet | MpiiMatches | None:
    """What a row's AP is computed from, if it is there."""
    if row.record is None or row.run is None:
        return row.poses
    folder = row.run.folder
    if (folder / MPII_MATCHES).is_file():
        return MpiiMatches.load(folder / MPII_MATCHES)
    if not row.record.sigmas:
        return None
    return evaluated_poses(row.prepared, folder, len(row.record.sigmas))


def _matches(row: Row, rank_by: str) -> PoseMatches | MpiiMatches | None:
    """Whom a row's poses found, if their AP is the metric that ranks."""
    poses = _scored(row)
    protocol, names = 'COCO', ('AP',)
    if isinstance(poses, MpiiMatches):
        protocol, names = 'MPII', (*COLUMNS, 'Total')
    if poses is None or rank_by not in names or rank_by not in row.metrics:
        return None
    if protocol == 'MPII':
        matches = poses.of_column(rank_by)
    else:
        matches = match_poses(poses, np.array(row.record.sigmas))
    value = float(matches.ap()[0])
    if abs(value - row.metrics[rank_by]) > _ROUNDING:
        print_log(
            f'{row.model} ({row.boxes}): no interval, for its evaluator gives '
            f"{rank_by} {row.metrics[rank_by]:.4f} and {protocol}'s protocol "
            f'{value:.4f}',
            'current',
            level=logging.WARNING,
        )
        return None
    return matches


def _tell_apart(rows: Sequence[Row]) -> None:
    """Number the data sets that have a name in common."""
    known: dict[str, dict[str, None]] = defaultdict(dict)
    prepared = [row for row in rows if row.prepared]
    for row in prepared:
        known[row.data_set][row.prepared.data_key] = None
    for row in prepared:
        keys = list(known[row.data_set])
        if len(keys) > 1:
            row.data_set += f' ({keys.index(row.prepared.data_key) + 1})'
