"""Run one entry, and measure what a leaderboard shows of it."""

import logging
import platform
import time
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import torch
from mmengine.analysis import FlopAnalyzer
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.structures import PoseDataSample
from torch import Tensor, nn

from ..cli.preflight import build_runner
from ..coco.evaluation import evaluate_poses
from ..coco.ground_truth import PoseSet, make_pose_set, read_pose_set
from ..engine.hooks import FuseConvBNHook, folded_norms
from ..experiments.drawing import draw_results
from ..experiments.tool_runs import RESULTS, find_coco_metric
from ..files import read_json
from ..mpii.metric import MpiiMultiPersonAP
from .entries import PreparedEntry, is_single_stage
from .spec import ResultsSpec

# How a trace names an operation that is written in C++ or Python beside.
_CUSTOM = 'PythonOp.'
PARTS = 5  # of a test, over which speed varies


class _Forward(nn.Module):
    """The forward pass of an mmpose model, from inputs alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: torch.Tensor) -> object:
        return self.model(inputs, None, mode='tensor')


@torch.no_grad()
def count_gflops(
    model: nn.Module, input_size: tuple[int, int]
) -> tuple[float | None, list[str]]:
    """Count 1e9 operations of one forward pass, by mmengine's analysis.

    The model is in evaluation mode. A multiplication with its addition is
    one. None for a model that cannot be traced; with it names of custom
    operations that are not counted.
    """
    model = getattr(model, 'module', model)
    w, h = input_size
    device = next(model.parameters()).device
    inputs = torch.zeros(1, 3, h, w, device=device)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            analyzer = FlopAnalyzer(_Forward(model), inputs)
            analyzer.unsupported_ops_warnings(False)
            analyzer.uncalled_modules_warnings(False)
            total = analyzer.total() / 1e9
            names = analyzer.unsupported_ops()
            return total, sorted(
                name.rpartition('.')[2] for name in names if _CUSTOM in name
            )
    except (RuntimeError, TypeError, AttributeError, NotImplementedError):
        return None, []


def _rate(batches: Sequence[tuple[int, float]]) -> float:
    """Samples a second of batches; 0 where nothing was timed."""
    seconds = sum(time for _, time in batches)
    return sum(number for number, _ in batches) / seconds if seconds else 0.0


class SpeedMeter(Hook):
    """Measures a test of mmengine's runner; see :meth:`summary`.

    A batch's time is from the batch on the host to its poses. The first batch
    warms up and is not timed, unless it is the only one.
    """

    priority = 'LOWEST'  # the last before the model runs

    def before_test(self, runner: Runner) -> None:
        self.cuda = torch.cuda.is_available()
        self.batches: list[tuple[int, float]] = []
        self.image_ids: set = set()
        # (w, h) of what the model was given, of all scales of a multi-scale
        # test, in the order of the test
        self.input_sizes: dict[tuple[tuple[int, int], ...], None] = {}
        self._ended = 0.0
        model = getattr(runner.model, 'module', runner.model)
        self._watch = model.register_forward_hook(self._stop, with_kwargs=True)
        if self.cuda:
            torch.cuda.reset_peak_memory_stats()

    def before_test_iter(self, *args: Any, **kwargs: Any) -> None:
        self._started = self._clock()

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence[PoseDataSample] = (),
    ) -> None:
        self.batches.append((len(outputs), self._ended - self._started))
        self.image_ids.update(sample.img_id for sample in outputs)

    def after_test(self, runner: Runner) -> None:
        self._watch.remove()
        self.peak = None
        if self.cuda:
            self.peak = torch.cuda.max_memory_allocated() / 2**20

    def summary(self) -> dict[str, float | None]:
        """What was measured, over all processes; None where it is not known.

        The rates of processes add up; of a top-down model all people of an
        image count for its time. The spread is that of ``PARTS`` parts.
        """
        timed = self.batches[1:] or self.batches
        cuts = [len(timed) * part // PARTS for part in range(PARTS + 1)]
        parts = [timed[low:high] for low, high in pairwise(cuts)]
        gathered = all_gather_object(
            dict(
                rate=_rate(timed),
                rates=[_rate(part) for part in parts],
                samples=sum(number for number, _ in self.batches),
                images=self.image_ids,
                peak=self.peak,
            )
        )
        images = set().union(*(each['images'] for each in gathered))
        number = sum(each['samples'] for each in gathered)
        speed = spread = None
        if number:
            share = len(images) / number
            speed = share * sum(each['rate'] for each in gathered)
            rates = np.sum([each['rates'] for each in gathered], axis=0)
            if rates.all():
                spread = share * float(rates.std(ddof=1))
        peaks = [e['peak'] for e in gathered if e['peak'] is not None]
        return dict(
            images_per_second=speed,
            images_per_second_std=spread,
            peak_memory_mib=max(peaks, default=None),
        )

    def _stop(
        self, model: nn.Module, args: tuple, kwargs: dict, output: Any
    ) -> None:
        self._ended = self._clock()
        inputs = kwargs.get('inputs')
        if inputs is not None:
            # a batch, or a list with one for each scale of a multi-scale test
            batches = [inputs] if isinstance(inputs, Tensor) else inputs
            shapes = [tuple(batch.shape[-2:]) for batch in batches]
            self.input_sizes[tuple((w, h) for h, w in shapes)] = None

    def _clock(self) -> float:
        if self.cuda:
            torch.cuda.synchronize()
        return time.perf_counter()


MPII_MATCHES = 'mpii_matches.npz'
PICTURES = 'pictures'
NUM_PICTURES = 4
# of both halves, annotated and predicted people, side by side
PICTURE_WIDTH = 480


@dataclass
class Record:
    """What one evaluation found; None where it cannot be known."""

    metrics: dict[str, float]
    num_images: int | None = None
    parameters: int | None = None
    images_per_second: float | None = None
    images_per_second_std: float | None = None
    peak_memory_mib: float | None = None
    device: str = ''
    processes: int = 1
    date: str = ''
    gflops: float | None = None
    gflops_input: str = ''  # what goes through the model for it
    num_poses: int | None = None
    sigmas: list[float] = field(default_factory=list)

    def add_poses(self, poses: PoseSet, meta: Mapping[str, Any]) -> None:
        """Add what the evaluated poses tell; ``meta`` is mmpose's metainfo."""
        self.sigmas = np.asarray(meta['sigmas'], float).tolist()
        self.num_images = len(poses.image_ids)
        self.num_poses = poses.num_poses

    @property
    def million_parameters(self) -> float | None:
        """Parameters in millions."""
        return None if self.parameters is None else self.parameters / 1e6

    @property
    def speed(self) -> str:
        """Images a second with their spread, '' where it is not known."""
        if self.images_per_second is None:
            return ''
        spread = self.images_per_second_std
        spread = '' if spread is None else f' ± {spread:.1f}'
        return f'{self.images_per_second:.1f}{spread}'


def make_runner(prepared: PreparedEntry, folder: Path) -> Runner:
    """Check an entry and build what runs it, with a :class:`.SpeedMeter`."""
    cfg = prepared.cfg
    cfg.work_dir = str(folder)
    # by this name mmengine keeps visualizers, which runs must not share
    cfg.experiment_name = f'leaderboard_{prepared.key}_{uuid4().hex}'
    _, evaluator = find_coco_metric(cfg)
    if evaluator is not None:
        prefix = folder / RESULTS.removesuffix('.keypoints.json')
        evaluator['outfile_prefix'] = str(prefix)
    runner = build_runner(cfg, 'test')
    runner.register_hook(SpeedMeter())
    return runner


def run(prepared: PreparedEntry, runner: Runner, folder: Path) -> Record:
    """Test, and collect what to show; only the first process's is complete."""
    metrics = _numbers(runner.test())
    meter = next(h for h in runner.hooks if isinstance(h, SpeedMeter))
    device = f'CPU ({platform.machine()}, {torch.get_num_threads()} threads)'
    if torch.cuda.is_available():
        device = torch.cuda.get_device_name()
    record = Record(
        metrics=metrics,
        num_images=len(meter.image_ids),
        parameters=sum(p.numel() for p in runner.model.parameters()),
        device=device,
        processes=get_world_size(),
        date=date.today().isoformat(),
        **meter.summary(),
    )
    if get_rank() != 0:
        return record
    _count_operations(record, prepared, runner, list(meter.input_sizes))
    for metric in runner.test_evaluator.metrics:
        if isinstance(metric, MpiiMultiPersonAP) and metric.matches:
            metric.matches.save(folder / MPII_MATCHES)
    meta = runner.test_dataloader.dataset.metainfo
    poses = evaluated_poses(prepared, folder, meta['num_keypoints'])
    if poses is not None:
        record.add_poses(poses, meta)
        _draw(prepared, folder, meta)
    return record


def evaluate_results(spec: ResultsSpec) -> tuple[Record, PoseSet]:
    """Evaluate a file of results; return what was scored, too."""
    meta = parse_pose_metainfo(dict(from_file=spec.metainfo))
    sigmas = np.asarray(meta['sigmas'], float)
    files = spec.ann_file, spec.results
    how = dict(iou_type=spec.iou_type, use_area=spec.use_area)
    poses = read_pose_set(*files, len(sigmas), **how, all_listed=True)
    record = Record(evaluate_poses(poses, sigmas))
    record.add_poses(poses, meta)
    return record, poses


def evaluated_poses(
    prepared: PreparedEntry, folder: Path, num_keypoints: int
) -> PoseSet | None:
    """The poses that a COCO metric scored, after the NMS, else None."""
    _, evaluator = find_coco_metric(prepared.cfg)
    path = _annotation_file(prepared)
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


def choose_images(
    annotations: Mapping[str, Any], number: int = NUM_PICTURES
) -> list[dict]:
    """Choose images to draw: with several people, evenly spaced by id."""
    people = Counter(
        person['image_id']
        for person in annotations['annotations']
        if not person.get('iscrowd')
        and any(flag > 0 for flag in person['keypoints'][2::3])
    )
    images = sorted(annotations['images'], key=lambda image: image['id'])
    images = [i for i in images if people[i['id']] > 1] or images
    return images[:: max(len(images) // number, 1)][:number]


def _draw(prepared: PreparedEntry, folder: Path, dataset_meta: dict) -> None:
    """Draw examples; a picture less is no reason to lose the numbers."""
    dataset = prepared.cfg.test_dataloader.dataset
    image_dir = Path(dataset.get('data_root') or '')
    image_dir /= (dataset.get('data_prefix') or {}).get('img', '')
    try:
        people = read_json(_annotation_file(prepared))
        draw_results(
            dict(people, images=choose_images(people)),
            read_json(folder / RESULTS),
            image_dir,
            folder / PICTURES,
            dataset_meta,
            PICTURE_WIDTH,
        )
    except (FileNotFoundError, KeyError) as error:
        print_log(f'no pictures: {error}', 'current', level=logging.WARNING)


def _annotation_file(prepared: PreparedEntry) -> Path | None:
    """The COCO file that an entry is evaluated on, if there is one."""
    _, evaluator = find_coco_metric(prepared.cfg)
    dataset = prepared.cfg.test_dataloader.dataset
    if evaluator is not None and evaluator.get('ann_file'):
        return Path(evaluator['ann_file'])
    if not dataset.get('ann_file'):
        return None
    return Path(dataset.get('data_root') or '') / dataset['ann_file']


def _count_operations(
    record: Record, prepared: PreparedEntry, runner: Runner, sizes: list[tuple]
) -> None:
    """Add the operations of a forward pass of the sizes that were given."""
    if not sizes:
        return
    what = 'image' if is_single_stage(prepared.cfg) else "person's crop"
    folds = any(isinstance(h, FuseConvBNHook) for h in runner.hooks)
    with folded_norms(runner.model) if folds else nullcontext():
        counts = [count_gflops(runner.model, size) for size in sizes[0]]
    if all(number is not None for number, _ in counts):
        record.gflops = sum(number for number, _ in counts)
    shown = ' and '.join(f'{w}x{h}' for w, h in sizes[0])
    record.gflops_input = f'one {what} of {shown}'
    if len(sizes) > 1:
        record.gflops_input += f', the first of {len(sizes)} sizes'
    if uncounted := counts[0][1]:
        record.gflops_input += f', without {", ".join(uncounted)}'


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """Numbers of numpy and torch as plain ones; what is none is left out."""
    plain = {}
    for name, value in values.items():
        try:
            plain[name] = float(value)
        except (TypeError, ValueError):
            continue
    return plain
