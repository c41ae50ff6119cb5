"""Make a leaderboard: run what is missing, write the tables."""

import traceback
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmengine.dist import barrier, broadcast_object_list, get_rank
from mmengine.dist import get_world_size as world_size

from ...evaluation.functional.mpii_resampling import MpiiMatches
from ..preflight import check_data
from ..tool_errors import explain
from .box_sources import WITHOUT_BOXES
from .cache import (
    MPII_MATCHES,
    PICTURES,
    Record,
    ResultCache,
    write_atomically,
)
from .entries import Entry, PreparedEntry, identify, list_entries, prepare
from .evaluation import evaluated_poses, make_runner, run
from .html_page import to_html
from .joint_failures import (
    end,
    first_failure,
    open_side_channel,
    wait_for_all,
)
from .listing import Listing
from .statistics import add_statistics
from .tables import Row, Table, make_table
from .text_tables import to_csv, to_markdown

NAME = 'leaderboard'


@dataclass
class Outcome:
    """What became of an entry.

    Attributes:
        row (Row): Its row.
        prepared (PreparedEntry, optional): None where it could not be
            prepared.
        cached (bool): Whether the result was there already.
        rank_by (str, optional): The metric that ranks on its data set.
            Defaults to None: that of the whole list.
    """

    row: Row
    prepared: PreparedEntry | None
    cached: bool = False
    rank_by: str | None = None


def evaluate_all(
    listing: Listing,
    args: Namespace,
    work_dir: Path,
    say: Callable[[str], None] = print,
) -> list[Outcome]:
    """Run every entry whose result is not there yet.

    One that fails is reported, and the others go on. Under a launcher that
    holds for what fails before the model runs, be it in one process only. An
    error within a run, and one before it that the others cannot hear of,
    ends all processes; what was finished is kept.

    Args:
        listing (Listing): What to evaluate.
        args (Namespace): ``launcher``, ``local_rank``, ``cfg_options`` and
            ``rerun``: whether to run what is there, too.
        work_dir (Path): Where results are kept.
        say (callable): Told what is going on. Defaults to ``print``.

    Returns:
        list[Outcome]: What became of each, in order.
    """
    open_side_channel()
    cache = ResultCache(work_dir / 'runs')
    entries = list_entries(listing)
    outcomes = []
    single_stage = set()
    for number, entry in enumerate(entries, start=1):
        outcome = _prepare(entry, args, work_dir / 'boxes')
        place = (entry.model.name, outcome.row.data_set)
        if outcome.row.boxes in WITHOUT_BOXES:
            if place in single_stage:
                continue  # it has no boxes: once is enough
            single_stage.add(place)
        name = f'[{number}/{len(entries)}] {outcome.row.model}, '
        name += f'{outcome.row.data_set}, boxes: {outcome.row.boxes}'
        if outcome.prepared is not None:
            key = outcome.prepared.key
            record = None if args.rerun else cache.find(key)
            record = _from_first(record)
            outcome.cached = record is not None
            if record is None:
                say(f'{name}: running')
                record = _run(outcome, cache)
            outcome.row.record = record
        if outcome.row.failure:
            say(f'{name}: failed: {outcome.row.failure}')
        else:
            say(f'{name}: {"kept from before" if outcome.cached else "done"}')
        outcomes.append(outcome)
    return outcomes


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


def _prepare(entry: Entry, args: Namespace, folder: Path) -> Outcome:
    """Prepare an entry in all processes; the first writes files."""
    model = entry.model
    row = Row(
        data_set=entry.data_set.name if entry.data_set else '',
        model=model.name,
        boxes=str(entry.box_source),
        config=model.config,
        checkpoint=model.checkpoint,
    )
    prepared = None
    for turn in (True, False):
        if turn == (get_rank() == 0):
            try:
                prepared = prepare(entry, args, folder, write=turn)
                row.data_set, row.boxes = prepared.data_set, prepared.boxes
                identify(prepared)
                row.checkpoint_sha256 = prepared.checkpoint_sha256
            except Exception as error:
                row.failure = _reason(error)
        barrier()
    row.failure = first_failure(row.failure)
    rank_by = entry.data_set.rank_by if entry.data_set else None
    prepared = None if row.failure else prepared
    return Outcome(row, prepared, rank_by=rank_by)


def _run(outcome: Outcome, cache: ResultCache) -> Record | None:
    """Run an entry and keep its result."""
    prepared = outcome.prepared
    folder = cache.folder(prepared.key)
    if get_rank() == 0:
        cache.clear(prepared.key)
    barrier()
    failure = ''
    try:
        if world_size() > 1:
            # before the runners meet, which a missing file must not hinder
            check_data(prepared.cfg, 'test')
    except Exception as error:
        failure = _reason(error)
    outcome.row.failure = first_failure(failure)
    if outcome.row.failure:
        return None
    try:
        runner = make_runner(prepared, folder)
    except Exception as error:
        failure = _reason(error)
    wait_for_all(failure)
    outcome.row.failure = first_failure(failure)
    if outcome.row.failure:
        return None
    try:
        record = run(prepared, runner, folder)
    except Exception as error:
        failure = _reason(error)
        if world_size() > 1:
            end(failure)  # the other processes wait for this one
        outcome.row.failure = failure
        return None
    if get_rank() == 0:
        cache.keep(prepared.key, record)
    return record


def _reason(error: Exception) -> str:
    """What to write into the row."""
    told = explain(error)
    if told is not None:
        return told
    frame = traceback.extract_tb(error.__traceback__)[-1]
    text = str(error).strip().splitlines() or ['']
    where = f'{Path(frame.filename).name}:{frame.lineno}'
    return f'{type(error).__name__}: {text[0]} ({where})'


def _from_first(value: object) -> object:
    """The first process's value, in all of them."""
    values = [value]
    broadcast_object_list(values)
    return values[0]


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
