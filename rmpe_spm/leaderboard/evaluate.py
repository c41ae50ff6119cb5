"""Run the entries of a leaderboard that are not there yet."""

import logging
import os
import platform
import sys
import traceback
from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import NoReturn
from uuid import uuid4

import numpy as np
import torch
from mmengine.dist import (
    all_gather_object,
    barrier,
    broadcast_object_list,
    get_rank,
    get_world_size,
)
from mmengine.dist import get_world_size as world_size
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import distributed

from ..cli.error_messages import explain
from ..cli.preflight import check_data, check_model, check_weights
from ..coco.ground_truth import PoseSet, make_pose_set
from ..coco.joint_errors import joint_pck
from ..engine.hooks import FuseConvBNHook, folded_norms
from ..experiments.drawing import draw_results
from ..files import read_json
from ..mpii.metric import MpiiMultiPersonAP
from .box_sources import WITHOUT_BOXES, is_single_stage
from .cache import (
    MPII_MATCHES,
    PICTURES,
    RESULTS,
    Record,
    ResultCache,
    jsonable,
)
from .cost import SpeedMeter, count_gflops, count_parameters
from .entries import (
    Entry,
    PreparedEntry,
    coco_evaluator,
    identify,
    list_entries,
    prepare,
)
from .spec import Listing
from .tables import Row

NUM_PICTURES = 4

# both halves, annotated and predicted people, side by side
WIDTH = 480


def choose_images(annotations: dict, number: int = NUM_PICTURES) -> list[dict]:
    """Choose images, the same for every model.

    They lie evenly spaced, by id, among those with the most that a picture
    can show: several annotated people, else one, else none.

    Args:
        annotations (dict): Content of a COCO file.
        number (int): How many. Defaults to 4.

    Returns:
        list[dict]: Entries of ``images``.
    """
    people = dict.fromkeys((image['id'] for image in annotations['images']), 0)
    for person in annotations['annotations']:
        if not person.get('iscrowd') and person['image_id'] in people:
            people[person['image_id']] += any(
                flag > 0 for flag in person['keypoints'][2::3]
            )
    images = sorted(annotations['images'], key=lambda image: image['id'])
    ranked = sorted(images, key=lambda image: -min(people[image['id']], 2))
    best = [i for i in images if min(people[i['id']], 2) == 2]
    if len(best) < number:
        return ranked[:number]
    return [best[len(best) * place // number] for place in range(number)]


def draw_pictures(
    annotations: dict,
    results: Sequence[dict],
    image_dir: str | Path,
    dataset_meta: dict,
    out_dir: Path,
) -> list[Path]:
    """Draw annotated (left) and predicted people (right) of some images.

    Args:
        annotations (dict): Content of a COCO file.
        results (sequence): COCO keypoint results.
        image_dir (str | Path): The folder of the images.
        dataset_meta (dict): mmpose's metainfo of the data set.
        out_dir (Path): Gets small JPEG files.

    Returns:
        list[Path]: The files.

    Raises:
        FileNotFoundError: An image is missing.
    """
    return draw_results(
        dict(annotations, images=choose_images(annotations)),
        results,
        image_dir,
        out_dir,
        dataset_meta,
        max_width=WIDTH,
    )


# How long a process that failed waits for the others to hear of it.
PATIENCE = timedelta(seconds=30)
_channel: list = []


def open_side_channel() -> None:
    """Make a way to meet beside that of the models, in all processes.

    One that failed may find the others within an operation of the models'
    processes, which nothing else can be mixed with.
    """
    if get_world_size() > 1 and not _channel:
        _channel.append(distributed.new_group(backend='gloo'))


def wait_for_all(failure: str) -> None:
    """Wait until all processes have come as far.

    One that failed ends if the others do not come in time.

    Args:
        failure (str): Why this one failed, empty if it did not.
    """
    if get_world_size() == 1:
        return
    arrived = distributed.all_reduce(
        torch.zeros(1), group=_channel[0], async_op=True
    )
    if not failure:
        arrived.wait()
        return
    try:
        arrived.wait(PATIENCE)
    except RuntimeError:
        end(failure)  # the others wait for this one elsewhere


def first_failure(failure: str) -> str:
    """Agree on why an entry failed.

    Args:
        failure (str): Why this process failed, empty if it did not.

    Returns:
        str: In all processes the first's reason, empty if none failed. Of
        one that did not happen in all of them the process is named.
    """
    found = all_gather_object(failure)
    for rank, reason in enumerate(found):
        if reason:
            alone = not all(found)
            return f'process {rank}: {reason}' if alone else reason
    return ''


def end(failure: str) -> NoReturn:
    """End this process at once, so that its launcher ends the others.

    An ordinary end would wait for what the processes have begun together.

    Args:
        failure (str): The reason, which is written.
    """
    print(f'process {get_rank()} failed: {failure}', file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


PCK_THRESHOLD = 0.1


def make_runner(prepared: PreparedEntry, folder: Path) -> Runner:
    """Check an entry and build what runs it.

    Args:
        prepared (PreparedEntry): The entry.
        folder (Path): Where its results and logs go.

    Returns:
        Runner: A runner with a :class:`SpeedMeter`.

    Raises:
        ConfigError: The data or the model cannot be used, or the weights are
            of another model.
    """
    cfg = prepared.cfg
    cfg.work_dir = str(folder)
    # mmengine keeps global state by this name
    # two runs of one name within a second would share a visualizer
    cfg.experiment_name = f'leaderboard_{prepared.key}_{uuid4().hex}'
    evaluator = coco_evaluator(cfg)
    if evaluator is not None:
        evaluator['outfile_prefix'] = str(
            folder / RESULTS.removesuffix('.keypoints.json')
        )
    num_keypoints, notes = check_data(cfg, 'test')
    runner = Runner.from_cfg(cfg)
    for note in notes:
        runner.logger.warning(note)
    check_model(runner.model, num_keypoints)
    check_weights(runner.model, cfg.load_from)
    runner.register_hook(SpeedMeter())
    return runner


def run(prepared: PreparedEntry, runner: Runner, folder: Path) -> Record:
    """Test, and collect what a leaderboard shows.

    Args:
        prepared (PreparedEntry): The entry.
        runner (Runner): Of :func:`make_runner`.
        folder (Path): Where it writes to.

    Returns:
        Record: The record; only the first process's is complete.
    """
    parameters = count_parameters(runner.model)
    metrics = jsonable(runner.test())
    meter = next(h for h in runner.hooks if isinstance(h, SpeedMeter))
    measured = meter.summary()
    dataset = runner.test_dataloader.dataset
    record = Record(
        metrics=metrics,
        joints={},
        joint_measure='',
        sigmas=[],
        num_images=len(meter.image_ids),
        num_poses=None,
        parameters=parameters,
        gflops=None,
        gflops_input='',
        device=_device_name(),
        processes=get_world_size(),
        date=date.today().isoformat(),
        **measured,
    )
    if get_rank() != 0:
        return record
    sizes = list(meter.input_sizes)
    if sizes:
        what = 'image' if is_single_stage(prepared.cfg) else "person's crop"
        folds = any(isinstance(h, FuseConvBNHook) for h in runner.hooks)
        with folded_norms(runner.model) if folds else nullcontext():
            counts = [count_gflops(runner.model, size) for size in sizes[0]]
        if all(number is not None for number, _ in counts):
            record.gflops = sum(number for number, _ in counts)
        uncounted = counts[0][1]
        shown = ' and '.join(f'{w}x{h}' for w, h in sizes[0])
        record.gflops_input = f'one {what} of {shown}'
        if len(sizes) > 1:
            record.gflops_input += f', the first of {len(sizes)} sizes'
        if uncounted:
            record.gflops_input += f', without {", ".join(uncounted)}'
    for metric in runner.test_evaluator.metrics:
        if isinstance(metric, MpiiMultiPersonAP) and metric.matches:
            metric.matches.save(folder / MPII_MATCHES)
    meta = dataset.metainfo
    poses = evaluated_poses(prepared, folder, meta['num_keypoints'])
    if poses is not None:
        names = meta['keypoint_id2name']
        record.sigmas = np.asarray(meta['sigmas'], float).tolist()
        values = joint_pck(poses, PCK_THRESHOLD)
        record.num_images = len(poses.image_ids)
        record.num_poses = poses.num_poses
        record.joint_measure = f'PCK@{PCK_THRESHOLD:g}'
        record.joints = {
            names[joint]: float(value)
            for joint, value in enumerate(values)
            if np.isfinite(value)
        }
        _draw(prepared, folder, meta)
    return record


def evaluated_poses(
    prepared: PreparedEntry, folder: Path, num_keypoints: int
) -> PoseSet | None:
    """The poses that the metrics were computed from, after the NMS.

    Args:
        prepared (PreparedEntry): The entry.
        folder (Path): Where its results are.
        num_keypoints (int): K.

    Returns:
        PoseSet | None: Poses and annotations; None where the entry is not
        evaluated on a COCO file by a COCO metric, or on joints of another
        skeleton than the annotations have.
    """
    evaluator = coco_evaluator(prepared.cfg)
    path = annotation_file(prepared)
    results = folder / RESULTS
    if evaluator is None or path is None or not results.is_file():
        return None
    if evaluator.get('gt_converter') or evaluator.get('pred_converter'):
        return None
    return make_pose_set(
        read_json(path),
        read_json(results),
        num_keypoints=num_keypoints,
        use_area=evaluator.get('use_area', True),
        iou_type=evaluator.get('iou_type', 'keypoints'),
    )


def annotation_file(prepared: PreparedEntry) -> Path | None:
    """The COCO file that an entry is evaluated on, if there is one."""
    evaluator = coco_evaluator(prepared.cfg)
    dataset = prepared.cfg.test_dataloader.dataset
    if evaluator is not None and evaluator.get('ann_file'):
        return Path(evaluator['ann_file'])
    if not dataset.get('ann_file'):
        return None
    return Path(dataset.get('data_root') or '') / dataset['ann_file']


def _draw(prepared: PreparedEntry, folder: Path, dataset_meta: dict) -> None:
    """Draw examples; a picture less is no reason to lose the numbers."""
    dataset = prepared.cfg.test_dataloader.dataset
    image_dir = Path(dataset.get('data_root') or '')
    image_dir /= (dataset.get('data_prefix') or {}).get('img', '')
    try:
        draw_pictures(
            read_json(annotation_file(prepared)),
            read_json(folder / RESULTS),
            image_dir,
            dataset_meta,
            folder / PICTURES,
        )
    except (FileNotFoundError, KeyError) as error:
        print_log(f'no pictures: {error}', 'current', level=logging.WARNING)


def _device_name() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f'CPU ({platform.machine()}, {torch.get_num_threads()} threads)'


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
