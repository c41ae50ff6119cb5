"""Run the entries of a leaderboard that are not there yet.

Under a launcher all processes go through the entries together.
"""

import shutil
import sys
import traceback
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

from mmengine.dist import (
    all_gather_object,
    barrier,
    broadcast_object_list,
    get_rank,
    get_world_size,
)

from ..cli.error_messages import explain
from ..cli.preflight import CheckedData
from ..coco.ground_truth import PoseSet
from ..experiments.runs import RunFolder
from ..experiments.tool_runs import RESULTS
from ..files import digest_file
from .entries import (
    WITHOUT_BOXES,
    Entry,
    PreparedEntry,
    list_entries,
    prepare,
)
from .measure import (
    MPII_MATCHES,
    Record,
    evaluate_results,
    make_runner,
    run,
)
from .spec import LeaderboardSpec
from .tables import Row


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
    holds for data, configs and weights that cannot be used; any other error
    ends all processes, and what was finished is kept. An entry that ended the
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
                _run(outcome)
        say(f'{outcome.name}: {outcome}')
        yield outcome
    for file in spec.results:
        row = Row(file.data_set, file.name, file.boxes, origin='result file')
        row.checkpoint = file.results
        outcome = Outcome(row, number='[file]')
        try:
            row.record, outcome.poses = evaluate_results(file)
            row.checkpoint_sha256 = digest_file(file.results, 64)
        except Exception as error:
            row.failure = _reason(error)
        say(f'{outcome.name}: {outcome}')
        yield outcome
    for each in spec.published:
        row = Row(each.data_set, each.name, each.boxes, origin='published')
        row.record, row.source = Record(each.metrics), each.source
        yield Outcome(row)


def retry(
    outcomes: Sequence[Outcome], say: Callable[[str], None] = print
) -> bool:
    """Run the entries that ended the processes when they ran last.

    The one whose turn was longest ago is the first, so that one that always
    ends them does not keep the others from their turn. The outcomes are
    changed in place; returns whether there were any.
    """
    postponed = [outcome for outcome in outcomes if outcome.postponed]
    for outcome in sorted(postponed, key=lambda each: each.postponed):
        _find(outcome, rerun=False)  # an equal one may have run by now
        outcome.postponed = 0.0
        if not outcome.cached:
            say(f'{outcome.name}: running again')
            _run(outcome)
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
            return reason if all(found) else f'process {rank}: {reason}'
    return ''


def _prepare(entry: Entry, args: Namespace, work_dir: Path) -> Outcome:
    """Prepare an entry in all processes."""
    model, data_set = entry.model, entry.data_set
    row = Row(
        data_set=data_set.name if data_set else '',
        model=model.name,
        boxes=str(entry.box_source),
        config=model.config,
        checkpoint=model.checkpoint,
    )
    outcome = Outcome(row, rank_by=data_set.rank_by if data_set else None)
    try:
        prepared = prepare(entry, args, work_dir / 'boxes')
        row.data_set, row.boxes = prepared.data_set, prepared.boxes
        row.checkpoint_sha256 = prepared.checkpoint_sha256
        folder = work_dir / 'runs' / prepared.key
        outcome.run = RunFolder(folder, dict(key=prepared.key))
        outcome.prepared = prepared
    except Exception as error:
        row.failure = _reason(error)
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


def _run(outcome: Outcome) -> None:
    """Run an entry and keep its result."""
    first, row, run = get_rank() == 0, outcome.row, outcome.run
    if first:
        shutil.rmtree(run.folder, ignore_errors=True)
    with run.attempt() if first else nullcontext():
        barrier()
        row.record, row.failure = _evaluate(outcome.prepared, run)
        if first and row.record is not None:
            names = [RESULTS, MPII_MATCHES]
            names = [each for each in names if (run.folder / each).is_file()]
            run.finish(names, record=asdict(row.record))


def _evaluate(
    prepared: PreparedEntry, kept: RunFolder
) -> tuple[Record | None, str]:
    """The result of an entry, or the reason why there is none."""
    several, runner = get_world_size() > 1, None
    if several:
        # before the runners meet, which a missing file must not hinder
        failure = ''
        try:
            CheckedData(prepared.cfg, 'test')
        except Exception as error:
            failure = _reason(error)
        failure = first_failure(failure)
        if failure:
            return None, failure
    try:
        runner = make_runner(prepared, kept.folder)
        return run(prepared, runner, kept.folder), ''
    except Exception as error:
        failure = _reason(error)
        # Only what is wrong in the set-up is so in all processes. With any
        # other error the others wait for this one, until its end ends them.
        if several and (runner is not None or explain(error) is None):
            kept.note(failure)
            print(f'process {get_rank()} failed: {failure}', file=sys.stderr)
            raise
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
