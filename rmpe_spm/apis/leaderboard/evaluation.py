"""Run one entry of a leaderboard."""

import json
import logging
import platform
from contextlib import nullcontext
from datetime import date
from pathlib import Path
from uuid import uuid4

import numpy as np
import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.logging import print_log
from mmengine.runner import Runner

from ...engine.folded_norms import folded_norms
from ...engine.hooks import FuseConvBNHook
from ...evaluation.functional.coco_poses import (
    PoseSet,
    load_json,
    make_pose_set,
)
from ...evaluation.functional.joint_pck import joint_pck
from ...evaluation.metrics import MpiiMultiPersonAP
from ..data_check import check_data
from ..model_check import check_model
from ..weights_check import check_weights
from .box_sources import is_single_stage
from .cache import MPII_MATCHES, PICTURES, RESULTS, Record, jsonable
from .entries import PreparedEntry, coco_evaluator
from .model_cost import count_gflops, count_parameters
from .pictures import draw_pictures
from .speed_meter import SpeedMeter

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
        load_json(path),
        load_json(results),
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
            json.loads(annotation_file(prepared).read_bytes()),
            json.loads((folder / RESULTS).read_bytes()),
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
