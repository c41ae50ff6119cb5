"""Intervals of the rows' AP, and tests of the rows against one another."""

import io
import itertools
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from ...evaluation.functional.annotated_people import NobodyToFind
from ...evaluation.functional.bootstrap import bootstrap_ap, paired_bootstrap
from ...evaluation.functional.coco_poses import PoseSet
from ...evaluation.functional.mpii_resampling import MpiiMatches
from ...evaluation.functional.pose_matches import PoseMatches, match_poses
from .cache import write_atomically
from .tables import Comparison, Row, Table

SEED = 0
# The metric's AP and that of the resamples are the same numbers.
_ROUNDING = 1e-4


class ResampledRow:
    """The AP of a row on resamples of the images, computed once.

    All rows are scored on the same resamples, those of one seed. What was
    computed is kept in a file.

    Args:
        matches (PoseMatches | MpiiMatches): The row's poses and whom they
            found.
        folder (Path): Where the file is kept.
    """

    def __init__(
        self, matches: PoseMatches | MpiiMatches, folder: Path
    ) -> None:
        self.image_ids = matches.image_ids
        self._matches = matches
        self._folder = folder
        self._values: np.ndarray | None = None

    def ap(self, counts: np.ndarray | None = None) -> np.ndarray:
        """AP with every image counted so many times.

        Args:
            counts (np.ndarray, optional): Of each resample (B, I); always
                those of :data:`SEED`. Defaults to None: every image once.

        Returns:
            np.ndarray: Shape (B,).
        """
        if counts is None:
            return self._matches.ap()
        if self._values is None or len(self._values) != len(counts):
            path = self._folder / f'resampled_ap_{len(counts)}.npy'
            self._values = _read(path, len(counts))
            if self._values is None:
                self._values = self._matches.ap(counts)
                content = io.BytesIO()
                np.save(content, self._values)
                write_atomically(path, content.getvalue())
        return self._values


def add_statistics(
    table: Table,
    poses: Sequence[PoseSet | MpiiMatches | None],
    folders: Sequence[Path],
    num_resamples: int = 1000,
) -> None:
    """Add intervals and comparisons to a table.

    Args:
        table (Table): Changed in place.
        poses (sequence): What each row's AP is computed from; None for a row
            that has none.
        folders (sequence): Where each row's resampled AP is kept.
        num_resamples (int): Resamples of the images. Defaults to 1000.
    """
    scores: dict[int, ResampledRow] = {}
    for place, (row, each, folder) in enumerate(
        zip(table.rows, poses, folders, strict=True)
    ):
        score = _resampled(row, table.rank_by, each, folder)
        if score is None:
            continue
        try:
            found = bootstrap_ap(score, _rng(), num_resamples)
        except NobodyToFind:
            continue
        scores[place] = score
        row.interval = found.low, found.high
    for first, second in itertools.combinations(scores, 2):
        if scores[first].image_ids != scores[second].image_ids:
            continue
        found = paired_bootstrap(
            scores[first], scores[second], _rng(), num_resamples
        )
        table.comparisons[first, second] = Comparison(
            found.difference, found.low, found.high, found.p_value
        )


def _rng() -> np.random.Generator:
    """The generator of the resamples: the same for every row."""
    return np.random.default_rng(SEED)


def _read(path: Path, number: int) -> np.ndarray | None:
    """Kept values; None where there are none or the file is damaged."""
    try:
        values = np.load(path)
    except (FileNotFoundError, EOFError, ValueError):
        return None
    return values if values.shape == (number,) else None


def _resampled(
    row: Row,
    rank_by: str,
    poses: PoseSet | MpiiMatches | None,
    folder: Path,
) -> ResampledRow | None:
    mpii = isinstance(poses, MpiiMatches)
    name, protocol = ('Total', 'MPII') if mpii else ('AP', 'COCO')
    if poses is None or rank_by != name or name not in row.metrics:
        return None
    try:
        matches = poses
        if not mpii:
            matches = match_poses(poses, np.array(row.record.sigmas))
    except NobodyToFind:
        return None
    value = float(matches.ap()[0])
    if abs(value - row.metrics[name]) > _ROUNDING:
        print_log(
            f'{row.model} ({row.boxes}): no interval, for its evaluator gives '
            f"{name} {row.metrics[name]:.4f} and {protocol}'s protocol "
            f'{value:.4f}',
            'current',
            level=logging.WARNING,
        )
        return None
    return ResampledRow(matches, folder)
