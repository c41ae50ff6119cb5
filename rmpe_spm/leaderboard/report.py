"""Make the tables of a leaderboard from what its entries found."""

import itertools
import logging
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from ..coco.bootstrap import NobodyToFind, bootstrap_ap, paired_bootstrap
from ..coco.ground_truth import PoseSet
from ..coco.keypoint_ap import PoseMatches, match_poses
from ..files import write_atomically
from ..mpii.ap import COLUMNS, MpiiMatches
from .measure import MPII_MATCHES, PICTURES, evaluated_poses
from .tables import Row, Table, make_table
from .writers import ColumnNotes, to_csv, to_html, to_markdown

NAME = 'leaderboard'
SEED = 0  # of the resamples, the same for every row

# The metric's AP and that of the resamples are the same numbers.
_ROUNDING = 1e-4


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


def write_tables(
    tables: Sequence[Table], work_dir: Path, title: str, notes: ColumnNotes
) -> list[Path]:
    """Write ``leaderboard.md``, ``.csv`` and ``.html``."""
    contents = {
        'md': to_markdown(tables, title, notes),
        'csv': to_csv(tables),
        'html': to_html(tables, title, notes, work_dir),
    }
    return [
        write_atomically(work_dir / f'{NAME}.{suffix}', content)
        for suffix, content in contents.items()
    ]


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


def column_notes(
    tables: Sequence[Table], num_resamples: int
) -> list[tuple[str, str]]:
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
