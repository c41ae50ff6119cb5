"""Run the entries of a leaderboard that are not there yet.

Under a launcher all processes go through the entries together; a failure of
one of them must reach the others before they wait for it.
"""

import os
import shutil
import sys
import traceback
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import torch
from mmengine.dist import (
    all_gather_object,
    barrier,
    broadcast_object_list,
    get_rank,
    get_world_size,
)
from torch import distributed

from ..cli.error_messages import explain
from ..cli.preflight import CheckedData
from ..coco.ground_truth import PoseSet
from ..experiments.runs import RunFolder
from ..experiments.tool_runs import RESULTS
from .entries import (
    WITHOUT_BOXES,
    Entry,
    PreparedEntry,
    identify,
    list_entries,
    prepare,
)
from .measure import MPII_MATCHES, Record, make_runner, run
from .results import evaluate_results, published_row, results_row
from .spec import LeaderboardSpec
from .tables import Row

# How long a process that failed waits for the others to hear of it.
PATIENCE = timedelta(seconds=30)


@dataclass
class Outcome:
    """What became of an entry.

    Attributes:
        row (Row): Its row.
        prepared (PreparedEntry, optional): None where no model is run, or it
            could not be prepared.
        run (RunFolder, optional): Where its result is kept. Likewise.
        poses (PoseSet, optional): What a file of results holds.
        cached (bool): Whether the result was there already.
        postponed (float): When it ran last, if that ended the processes:
            :func:`retry` is to run it. 0 otherwise.
        rank_by (str, optional): The metric that ranks on its data set; None:
            that of the whole list.
        number (str): Which of the entries it is.
    """

    row: Row
    prepared: PreparedEntry | None = None
    run: RunFolder | None = None
    poses: PoseSet | None = None
    cached: bool = False
    postponed: float = 0.0
    rank_by: str | None = None
    number: str = ''

    @property
    def name(self) -> str:
        """What it is called in messages."""
        row = self.row
        return f'{self.number} {row.label}, {row.data_set}, boxes: {row.boxes}'

    def __str__(self) -> str:
        """What became of it, in a few words."""
        if self.postponed:
            return f'postponed: {self.row.failure}'
        if self.row.failure:
            return f'failed: {self.row.failure}'
        return 'kept from before' if self.cached else 'done'


def evaluate_all(
    spec: LeaderboardSpec,
    args: Namespace,
    work_dir: Path,
    say: Callable[[str], None] = print,
) -> Iterator[Outcome]:
    """Run every entry whose result is not there yet.

    One that fails is reported, and the others go on. Under a launcher that
    holds for what fails before the model runs, be it in one process only. An
    error within a run, and one before it that the others cannot hear of,
    ends all processes; what was finished is kept. An entry that ended the
    processes is left to :func:`retry` next time, lest the entries after it
    never run.

    Args:
        spec (LeaderboardSpec): What to evaluate.
        args (Namespace): ``launcher``, ``local_rank``, ``cfg_options`` and
            ``rerun``: whether to run what is there, too.
        work_dir (Path): Where results are kept.
        say (callable): Told what is going on. Defaults to ``print``.

    Yields:
        Outcome: What became of each, in order.
    """
    channel = _open_side_channel()
    entries = list_entries(spec)
    single_stage = set()
    for number, entry in enumerate(entries, start=1):
        outcome = _prepare(entry, args, work_dir)
        place = (entry.model.name, outcome.row.data_set)
        if outcome.row.boxes in WITHOUT_BOXES:
            if place in single_stage:
                continue  # it has no boxes: once is enough
            single_stage.add(place)
        outcome.number = f'[{number}/{len(entries)}]'
        if outcome.run is not None:
            _find(outcome, args.rerun)
            if not (outcome.cached or outcome.postponed):
                say(f'{outcome.name}: running')
                _run(outcome, channel)
        say(f'{outcome.name}: {outcome}')
        yield outcome
    for file in spec.results:
        outcome = Outcome(results_row(file), number='[file]')
        try:
            outcome.poses = evaluate_results(file, outcome.row)
        except Exception as error:
            outcome.row.failure = _reason(error)
        say(f'{outcome.name}: {outcome}')
        yield outcome
    for each in spec.published:
        yield Outcome(published_row(each))


def retry(
    outcomes: Sequence[Outcome], say: Callable[[str], None] = print
) -> bool:
    """Run the entries that ended the processes when they ran last.

    The one whose turn was longest ago is the first, so that one that always
    ends them does not keep the others from their turn. The outcomes are
    changed in place; returns whether there were any.
    """
    channel = _open_side_channel()
    postponed = [outcome for outcome in outcomes if outcome.postponed]
    for outcome in sorted(postponed, key=lambda each: each.postponed):
        _find(outcome, rerun=False)  # an equal one may have run by now
        outcome.postponed = 0.0
        if not outcome.cached:
            say(f'{outcome.name}: running again')
            _run(outcome, channel)
        say(f'{outcome.name}: {outcome}')
    return bool(postponed)


def first_failure(failure: str) -> str:
    """Agree on why an entry failed.

    Returns the first's reason in all processes, empty if none failed. Of one
    that did not happen in all of them the process is named.
    """
    found = all_gather_object(failure)
    for rank, reason in enumerate(found):
        if reason:
            alone = not all(found)
            return f'process {rank}: {reason}' if alone else reason
    return ''


def _open_side_channel() -> Any:
    """Make a way to meet beside that of the models, which may be stuck."""
    if get_world_size() == 1:
        return None
    return distributed.new_group(backend='gloo')


def _wait_for_all(failure: str, channel: Any) -> None:
    """Wait until all have come as far; one that failed waits not for long."""
    if channel is None:
        return
    arrived = distributed.all_reduce(
        torch.zeros(1), group=channel, async_op=True
    )
    if not failure:
        arrived.wait()
        return
    try:
        arrived.wait(PATIENCE)
    except RuntimeError:
        _end(failure)


def _end(failure: str) -> NoReturn:
    """End this process at once, so that its launcher ends the others.

    An ordinary end would wait for what the processes have begun together.
    """
    print(f'process {get_rank()} failed: {failure}', file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


def _prepare(entry: Entry, args: Namespace, work_dir: Path) -> Outcome:
    """Prepare an entry in all processes; the first writes files."""
    model = entry.model
    row = Row(
        data_set=entry.data_set.name if entry.data_set else '',
        model=model.name,
        boxes=str(entry.box_source),
        config=model.config,
        checkpoint=model.checkpoint,
    )
    outcome = Outcome(row)
    if entry.data_set:
        outcome.rank_by = entry.data_set.rank_by
    for turn in (True, False):
        if turn == (get_rank() == 0):
            try:
                prepared = prepare(entry, args, work_dir / 'boxes', turn)
                row.data_set, row.boxes = prepared.data_set, prepared.boxes
                identify(prepared)
                row.checkpoint_sha256 = prepared.checkpoint_sha256
                folder = work_dir / 'runs' / prepared.key
                outcome.run = RunFolder(folder, dict(key=prepared.key))
                outcome.prepared = prepared
            except Exception as error:
                row.failure = _reason(error)
        barrier()
    row.failure = first_failure(row.failure)
    if row.failure:
        outcome.prepared = outcome.run = None
    return outcome


def _find(outcome: Outcome, rerun: bool) -> None:
    """Look up an entry's result, or what its last run ended with."""
    run = outcome.run
    found = None if rerun else run.outcome()
    failure = '' if found else run.failure
    # the first process's, in all of them
    values = [found, failure, run.last_attempt if failure else 0.0]
    broadcast_object_list(values)
    found, failure, outcome.postponed = values
    if found is not None:
        outcome.row.record = Record(**found['record'])
        outcome.cached = True
    outcome.row.failure = failure and (
        f'the processes ended when it ran last: {failure}'
    )


def _run(outcome: Outcome, channel: Any) -> None:
    """Run an entry and keep its result."""
    first = get_rank() == 0
    run = outcome.run
    if first:
        shutil.rmtree(run.folder, ignore_errors=True)
    with run.attempt() if first else nullcontext():
        barrier()
        record, failure = _evaluate(outcome.prepared, run, channel)
        outcome.row.record, outcome.row.failure = record, failure
        if first and record is not None:
            names = [RESULTS, MPII_MATCHES]
            names = [each for each in names if (run.folder / each).is_file()]
            run.finish(names, record=asdict(record))


def _evaluate(
    prepared: PreparedEntry, kept: RunFolder, channel: Any
) -> tuple[Record | None, str]:
    """The result of an entry, or the reason why there is none."""
    failure = ''
    try:
        if channel is not None:
            # before the runners meet, which a missing file must not hinder
            CheckedData(prepared.cfg, 'test')
    except Exception as error:
        failure = _reason(error)
    failure = first_failure(failure)
    if failure:
        return None, failure
    try:
        runner = make_runner(prepared, kept.folder)
    except Exception as error:
        failure = _reason(error)
        kept.note(failure)
    _wait_for_all(failure, channel)
    failure = first_failure(failure)
    if failure:
        return None, failure
    try:
        return run(prepared, runner, kept.folder), ''
    except Exception as error:
        failure = _reason(error)
    if channel is not None:
        kept.note(failure)
        _end(failure)  # the other processes wait for this one
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
