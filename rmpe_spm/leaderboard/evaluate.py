"""Run the entries of a leaderboard that are not there yet.

Under a launcher all processes go through the entries together.
"""

import shutil
import sys
import traceback
from argparse import Namespace
from collections.abc import Callable, Iterator
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

    ``prepared`` and ``run`` are None where no model is run, ``poses`` those of
    a file of results; ``rank_by`` is that of the data set, if it has its own.
    """

    row: Row
    prepared: PreparedEntry | None = None
    run: RunFolder | None = None
    poses: PoseSet | None = None
    cached: bool = False
    rank_by: str | None = None
    number: str = ''

    @property
    def name(self) -> str:
        """What it is called in messages."""
        row = self.row
        return f'{self.number} {row.label}, {row.data_set}, boxes: {row.boxes}'

    def __str__(self) -> str:
        """What became of it, in a few words."""
        if self.row.failure:
            return f'failed: {self.row.failure}'
        return 'kept from before' if self.cached else 'done'


def evaluate_all(
    spec: LeaderboardSpec,
    args: Namespace,
    work_dir: Path,
    say: Callable[[str], None] = print,
) -> Iterator[Outcome]:
    """Yield what becomes of every entry, running those without a result.

    One that fails is reported, and the others go on. Under a launcher that
    holds for data, configs and weights that cannot be used; any other error
    ends all processes, and what was finished is kept.
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
            if not outcome.cached:
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


def first_failure(failure: str) -> str:
    """Agree, in all processes, on why an entry failed; empty if it did not."""
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
    """Look up an entry's result."""
    values = [None if rerun else outcome.run.outcome()]
    broadcast_object_list(values)  # the first process's, in all of them
    if values[0] is not None:
        outcome.row.record = Record(**values[0]['record'])
        outcome.cached = True


def _run(outcome: Outcome) -> None:
    """Run an entry and keep its result."""
    first, row, run = get_rank() == 0, outcome.row, outcome.run
    if first:
        shutil.rmtree(run.folder, ignore_errors=True)
    with run.attempt() if first else nullcontext():
        barrier()
        row.record, row.failure = _evaluate(outcome.prepared, run.folder)
        if first and row.record is not None:
            names = [RESULTS, MPII_MATCHES]
            names = [each for each in names if (run.folder / each).is_file()]
            run.finish(names, record=asdict(row.record))


def _evaluate(
    prepared: PreparedEntry, folder: Path
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
        runner = make_runner(prepared, folder)
        return run(prepared, runner, folder), ''
    except Exception as error:
        failure = _reason(error)
        # Only what is wrong in the set-up is so in all processes. With any
        # other error the others wait for this one, until its end ends them.
        if several and (runner is not None or explain(error) is None):
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
