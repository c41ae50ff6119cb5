"""Run the entries of a leaderboard that are not there yet."""

import traceback
from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from mmengine.dist import barrier, broadcast_object_list, get_rank
from mmengine.dist import get_world_size as world_size

from ..data_check import check_data
from ..tool_errors import explain
from .box_sources import WITHOUT_BOXES
from .cache import Record, ResultCache
from .entries import Entry, PreparedEntry, identify, list_entries, prepare
from .evaluation import make_runner, run
from .joint_failures import end, first_failure, open_side_channel, wait_for_all
from .listing import Listing
from .tables import Row


@dataclass
class Outcome:
    """What became of an entry.

    Attributes:
        row (Row): Its row.
        prepared (PreparedEntry, optional): None where it could not be
            prepared.
        cached (bool): Whether the result was there already.
        postponed (float): When it ran last, if that ended the processes:
            :func:`retry` is to run it. 0 otherwise.
        rank_by (str, optional): The metric that ranks on its data set.
            Defaults to None: that of the whole list.
        name (str): What it is called in messages.
    """

    row: Row
    prepared: PreparedEntry | None
    cached: bool = False
    postponed: float = 0.0
    rank_by: str | None = None
    name: str = ''


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
    ends all processes; what was finished is kept. An entry that ended the
    processes is left to :func:`retry` next time, lest the entries after it
    never run.

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
        outcome.name = (
            f'[{number}/{len(entries)}] {outcome.row.model}, '
            f'{outcome.row.data_set}, boxes: {outcome.row.boxes}'
        )
        if outcome.prepared is not None:
            _find(outcome, cache, args.rerun)
            if not (outcome.cached or outcome.postponed):
                say(f'{outcome.name}: running')
                _run(outcome, cache)
        say(f'{outcome.name}: {_told(outcome)}')
        outcomes.append(outcome)
    return outcomes


def retry(
    outcomes: Sequence[Outcome],
    work_dir: Path,
    say: Callable[[str], None] = print,
) -> bool:
    """Run the entries that ended the processes when they ran last.

    The one whose turn was longest ago is the first, so that one that always
    ends them does not keep the others from their turn.

    Args:
        outcomes (sequence): Of :func:`evaluate_all`; changed in place.
        work_dir (Path): Where results are kept.
        say (callable): Told what is going on. Defaults to ``print``.

    Returns:
        bool: Whether there were any.
    """
    cache = ResultCache(work_dir / 'runs')
    postponed = [outcome for outcome in outcomes if outcome.postponed]
    postponed.sort(key=lambda outcome: outcome.postponed)
    done: dict[str, Row] = {}
    for outcome in postponed:
        outcome.postponed = 0.0
        key = outcome.prepared.key
        if key in done:
            outcome.row.record = done[key].record
            outcome.row.failure = done[key].failure
        else:
            say(f'{outcome.name}: running again')
            _run(outcome, cache)
            done[key] = outcome.row
        say(f'{outcome.name}: {_told(outcome)}')
    return bool(postponed)


def _find(outcome: Outcome, cache: ResultCache, rerun: bool) -> None:
    """Look up an entry's result, or what its last run ended with."""
    key = outcome.prepared.key
    record = None if rerun else cache.find(key)
    unfinished = '' if record else cache.unfinished(key)
    record, unfinished, outcome.postponed = _from_first(
        [record, unfinished, cache.last_attempt(key) if unfinished else 0.0]
    )
    outcome.row.record = record
    outcome.cached = record is not None
    if unfinished:
        outcome.row.failure = (
            f'the processes ended when it ran last: {unfinished}'
        )


def _told(outcome: Outcome) -> str:
    """What became of an entry, in a few words."""
    if outcome.postponed:
        return f'postponed: {outcome.row.failure}'
    if outcome.row.failure:
        return f'failed: {outcome.row.failure}'
    return 'kept from before' if outcome.cached else 'done'


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


def _run(outcome: Outcome, cache: ResultCache) -> None:
    """Run an entry and keep its result."""
    key = outcome.prepared.key
    first = get_rank() == 0
    if first:
        cache.clear(key)
    barrier()
    with cache.attempt(key) if first else nullcontext():
        record, failure = _evaluate(outcome.prepared, cache)
        outcome.row.record, outcome.row.failure = record, failure
        if first and record is not None:
            cache.keep(key, record)


def _evaluate(
    prepared: PreparedEntry, cache: ResultCache
) -> tuple[Record | None, str]:
    """The result of an entry, or the reason why there is none."""
    folder = cache.folder(prepared.key)
    failure = ''
    try:
        if world_size() > 1:
            # before the runners meet, which a missing file must not hinder
            check_data(prepared.cfg, 'test')
    except Exception as error:
        failure = _reason(error)
    failure = first_failure(failure)
    if failure:
        return None, failure
    try:
        runner = make_runner(prepared, folder)
    except Exception as error:
        failure = _reason(error)
        cache.note(prepared.key, failure)
    wait_for_all(failure)
    failure = first_failure(failure)
    if failure:
        return None, failure
    try:
        return run(prepared, runner, folder), ''
    except Exception as error:
        failure = _reason(error)
    if world_size() > 1:
        cache.note(prepared.key, failure)
        end(failure)  # the other processes wait for this one
    return None, failure


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
