"""Make the tables of a leaderboard from what its entries found."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ...evaluation.functional.mpii_resampling import MpiiMatches
from .cache import MPII_MATCHES, PICTURES, ResultCache, write_atomically
from .evaluation import evaluated_poses
from .html_page import to_html
from .running import Outcome
from .statistics import add_statistics
from .tables import Table, make_table
from .text_tables import to_csv, to_markdown

NAME = 'leaderboard'


def build_tables(
    outcomes: Sequence[Outcome],
    work_dir: Path,
    rank_by: str,
    num_resamples: int,
    pictures: bool = True,
) -> list[Table]:
    """Rank the rows of every data set, and compare them.

    Args:
        outcomes (sequence): Of :func:`evaluate_all`.
        work_dir (Path): Where results are kept.
        rank_by (str): The metric that ranks where a data set names none.
        num_resamples (int): Of the bootstrap.
        pictures (bool): Whether rows have their example pictures. Defaults
            to True.

    Returns:
        list[Table]: One a data set, in the order of the entries.
    """
    cache = ResultCache(work_dir / 'runs')
    # Tables name data sets and rank rows; the outcomes stay as they are.
    outcomes = [replace(o, row=replace(o.row)) for o in outcomes]
    _tell_apart(outcomes)
    by_row = {id(outcome.row): outcome.prepared for outcome in outcomes}
    names = dict.fromkeys(outcome.row.data_set for outcome in outcomes)
    # What failed before its data set was known stands in the first table.
    first = next(filter(None, names), 'no data set')
    for outcome in outcomes:
        outcome.row.data_set = outcome.row.data_set or first
    names = dict.fromkeys(outcome.row.data_set for outcome in outcomes)
    tables = []
    for name in names:
        own = [o for o in outcomes if o.row.data_set == name]
        metric = next((o.rank_by for o in own if o.rank_by), rank_by)
        table = make_table(name, [outcome.row for outcome in own], metric)
        poses, folders = [], []
        for row in table.rows:
            prepared = by_row[id(row)]
            folder = cache.folder(prepared.key if prepared else '')
            folders.append(folder)
            poses.append(None)
            if row.record is not None:
                if pictures:
                    row.pictures = sorted((folder / PICTURES).glob('*.jpg'))
                if (folder / MPII_MATCHES).is_file():
                    poses[-1] = MpiiMatches.load(folder / MPII_MATCHES)
                elif row.record.sigmas:
                    poses[-1] = evaluated_poses(
                        prepared, folder, len(row.record.sigmas)
                    )
        add_statistics(table, poses, folders, num_resamples)
        tables.append(table)
    return tables


def write_tables(
    tables: Sequence[Table], work_dir: Path, title: str, notes: str
) -> list[Path]:
    """Write the tables as Markdown, CSV and HTML.

    Args:
        tables (sequence): The tables.
        work_dir (Path): Gets ``leaderboard.md``, ``.csv`` and ``.html``.
        title (str): The heading.
        notes (str): How the numbers came about, a paragraph a line.

    Returns:
        list[Path]: The files.
    """
    contents = {
        'md': to_markdown(tables, title, notes),
        'csv': to_csv(tables),
        'html': to_html(tables, title, notes),
    }
    paths = []
    for suffix, content in contents.items():
        paths.append(work_dir / f'{NAME}.{suffix}')
        write_atomically(paths[-1], content)
    return paths


def _tell_apart(outcomes: Sequence[Outcome]) -> None:
    """Name data sets apart that have a name in common."""
    keys: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.prepared is not None:
            known = keys.setdefault(outcome.row.data_set, [])
            if outcome.prepared.data_key not in known:
                known.append(outcome.prepared.data_key)
    for outcome in outcomes:
        known = keys.get(outcome.row.data_set, [])
        if outcome.prepared is not None and len(known) > 1:
            number = known.index(outcome.prepared.data_key) + 1
            outcome.row.data_set += f' ({number})'
