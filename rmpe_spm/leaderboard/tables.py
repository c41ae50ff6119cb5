"""Rows of a leaderboard, ranked."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .cache import Record

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
class Comparison:
    """A row's AP less another's on the same images.

    Attributes:
        difference (float): The difference.
        low (float): Lower end of its 95% interval.
        high (float): Upper end.
        p_value (float): Two-sided.
    """

    difference: float
    low: float
    high: float
    p_value: float

    def reversed(self) -> 'Comparison':
        """The other row's less this one's."""
        return Comparison(
            -self.difference, -self.high, -self.low, self.p_value
        )


@dataclass
class Row:
    """A row of a table.

    Attributes:
        data_set (str): The data set.
        model (str): The model's name.
        boxes (str): Where its boxes came from.
        config (str): The config file.
        checkpoint (str): The checkpoint file.
        checkpoint_sha256 (str): Of its content.
        record (Record, optional): What was found; None where it failed.
        failure (str): Why it failed.
        interval (tuple, optional): 95% interval of AP.
        pictures (list): Example pictures, JPEG.
        rank (int, optional): 1 for the best; equal values share a rank.
    """

    data_set: str
    model: str
    boxes: str
    config: str
    checkpoint: str
    checkpoint_sha256: str = ''
    record: Record | None = None
    failure: str = ''
    interval: tuple[float, float] | None = None
    pictures: list[Path] = field(default_factory=list)
    rank: int | None = None

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics by their short names."""
        return short_metrics(self.record.metrics) if self.record else {}


@dataclass
class Table:
    """All rows of one data set.

    Attributes:
        data_set (str): The data set.
        rank_by (str): The metric that ranks.
        rows (list[Row]): The rows, best first.
        comparisons (dict): By (place of a row, place of a later row), the
            first's less the second's.
    """

    data_set: str
    rank_by: str
    rows: list[Row]
    comparisons: dict[tuple[int, int], Comparison] = field(
        default_factory=dict
    )

    def compare(self, first: int, second: int) -> Comparison | None:
        """Compare two rows.

        Args:
            first (int): Place of a row.
            second (int): Place of the other.

        Returns:
            Comparison | None: The first's less the second's; None where
            they cannot be compared image by image.
        """
        if (first, second) in self.comparisons:
            return self.comparisons[first, second]
        found = self.comparisons.get((second, first))
        return found and found.reversed()

    @property
    def metric_names(self) -> list[str]:
        """All rows' metrics, the one that ranks first."""
        names = dict.fromkeys([self.rank_by])
        for row in self.rows:
            names.update(dict.fromkeys(row.metrics))
        return list(names)

    @property
    def joint_names(self) -> list[str]:
        """All rows' joints, in the first's order."""
        names = {}
        for row in self.rows:
            names.update(
                dict.fromkeys(row.record.joints if row.record else ())
            )
        return list(names)

    @property
    def joint_measure(self) -> str:
        """What the joints' values are."""
        measures = {r.record.joint_measure for r in self.rows if r.record}
        return ', '.join(sorted(measures - {''}))


def short_metrics(metrics: dict[str, float]) -> dict[str, float]:
    """Metrics by the names that tables use.

    Args:
        metrics (dict): As mmpose's evaluators return them.

    Returns:
        dict: The same without the evaluator's prefix, where names stay
        different, and with the common names of COCO's metrics.
    """
    bare = [name.rpartition('/')[2] for name in metrics]
    return {
        name if bare.count(tail) > 1 else SHORT_NAMES.get(tail, tail): value
        for name, tail, value in zip(
            metrics, bare, metrics.values(), strict=True
        )
    }


def is_missing(value: float | None) -> bool:
    """Tell whether a cell has no number to show.

    Args:
        value (float, optional): The number.

    Returns:
        bool: Whether it is None or NaN, as MPII's are of joints that nobody
        has annotated.
    """
    return value is None or math.isnan(value)


def make_table(data_set: str, rows: Sequence[Row], rank_by: str) -> Table:
    """Rank rows.

    Args:
        data_set (str): The data set.
        rows (sequence): Its rows; their ranks are set.
        rank_by (str): The metric; larger is better. Rows that lack it are
            ranked by none and come after the others, in their order, and
            rows that failed come last.

    Returns:
        Table: The table, without comparisons.
    """

    def place(row: Row) -> tuple:
        value = row.metrics.get(rank_by)
        if is_missing(value):
            return (2 if row.record is None else 1, 0.0)
        return (0, -value)

    ordered = sorted(rows, key=place)
    for number, row in enumerate(ordered, start=1):
        ranked = place(row)[0] == 0
        before = ordered[number - 2] if number > 1 else None
        if ranked and before and place(before) == place(row):
            row.rank = before.rank
        else:
            row.rank = number if ranked else None
    return Table(data_set, rank_by, ordered)


def joint_label(name: str) -> str:
    """A short name of a joint.

    Args:
        name (str): For example ``left_shoulder``.

    Returns:
        str: For example ``L shoulder``.
    """
    name = re.sub(r'^left_', 'L ', name)
    return re.sub(r'^right_', 'R ', name).replace('_', ' ')
