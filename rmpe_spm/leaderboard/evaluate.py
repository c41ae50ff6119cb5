"""Run the entries of a leaderboard that are not there yet.

Under a launcher all processes go through the entries together.
"""

import shutil
import sys
import traceback
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict
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


def evaluate_all(
    spec: LeaderboardSpec,
    args: Namespace,
    work_dir: Path,
    say: Callable[[str], None] = print,
) -> Iterator[Row]:
    """Yield the row of every entry, running those without a result.

    One that fails is reported, and the others go on. Under a launcher that
    holds for data, configs and weights that cannot be used; any other error
    ends all processes, and what was finished is kept.
    """
    entries = list_entries(spec)
    single_stage = set()
    for number, entry in enumerate(entries, start=1):
        row = _prepare(entry, args, work_dir)
        place = (row.model, row.data_set)
        if row.boxes in WITHOUT_BOXES:
            if place in single_stage:
                continue  # it has no boxes: once is enough
            single_stage.add(place)
        name = f'[{number}/{len(entries)}] {row.name}'
        if row.run is not None:
            _find(row, args.rerun)
            if not row.cached:
                say(f'{name}: running')
                _run(row)
        say(f'{name}: {_ending(row)}')
        yield row
    for file in spec.results:
        row = Row(
            file.data_set,
            file.name,
            file.boxes,
            checkpoint=file.results,
            origin='result file',
        )
        try:
            row.record, row.poses = evaluate_results(file)
            row.checkpoint_sha256 = digest_file(file.results, 64)
        except Exception as error:
            row.failure = _reason(error)
        say(f'[file] {row.name}: {_ending(row)}')
        yield row
    for each in spec.published:
        yield Row(
            each.data_set,
            each.name,
            each.boxes,
            record=Record(each.metrics),
            origin='published',
            source=each.source,
        )


def first_failure(failure: str) -> str:
    """Agree, in all processes, on why an entry failed; empty if it did not."""
    found = all_gather_object(failure)
    for rank, reason in enumerate(found):
        if reason:
            return reason if all(found) else f'process {rank}: {reason}'
    return ''


def _prepare(entry: Entry, args: Namespace, work_dir: Path) -> Row:
    """Prepare an entry in all processes."""
    model, data_set = entry.model, entry.data_set
    row = Row(
        data_set=data_set.name if data_set else '',
        model=model.name,
        boxes=str(entry.box_source),
        config=model.config,
        checkpoint=model.checkpoint,
        rank_by=data_set.rank_by if data_set else None,
    )
    try:
        prepared = prepare(entry, args, work_dir / 'boxes')
        row.data_set, row.boxes = prepared.data_set, prepared.boxes
        row.checkpoint_sha256 = prepared.checkpoint_sha256
        folder = work_dir / 'runs' / prepared.key
        row.run = RunFolder(folder, dict(key=prepared.key))
        row.prepared = prepared
    except Exception as error:
        row.failure = _reason(error)
    row.failure = first_failure(row.failure)
    if row.failure:
        row.prepared = row.run = None
    return row


def _find(row: Row, rerun: bool) -> None:
    """Look up an entry's result."""
    values = [None if rerun else row.run.outcome()]
    broadcast_object_list(values)  # the first process's, in all of them
    if values[0] is not None:
        row.record, row.cached = Record(**values[0]['record']), True


def _run(row: Row) -> None:
    """Run an entry and keep its result."""
    first, run = get_rank() == 0, row.run
    if first:
        shutil.rmtree(run.folder, ignore_errors=True)
    with run.attempt() if first else nullcontext():
        barrier()
        row.record, row.failure = _evaluate(row.prepared, run.folder)
        if first and row.record is not None:
            names = [RESULTS, MPII_MATCHES]
            names = [each for each in names if (run.folder / each).is_file()]
            run.finish(names, record=asdict(row.record))


def _ending(row: Row) -> str:
    """What became of it, in a few words."""
    if row.failure:
        return f'failed: {row.failure}'
    return 'kept from before' if row.cached else 'done'


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
