"""What is checked before a run, so that it does not fail after hours."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dataset import InfiniteSampler
from mmengine.evaluator import Evaluator
from mmengine.logging import print_log
from mmengine.runner import BaseLoop, Runner
from mmengine.runner.checkpoint import CheckpointLoader
from mmpose.datasets.datasets.base import BaseCocoStyleDataset
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.datasets.datasets.wholebody import CocoWholeBodyDataset
from mmpose.evaluation.metrics import CocoMetric, CocoWholeBodyMetric
from mmpose.registry import DATASETS, METRICS, OPTIMIZERS
from torch import Tensor, nn

from ..coco.annotations import KeypointAnnotations
from ..coco.loading import check_images, check_sizes
from ..coco.metric import PoseNMSCocoMetric
from ..coco.results import read_detections
from ..errors import ConfigError
from ..oks import check_sigmas
from .arguments import config_parts, is_a
from .pipeline_checks import (
    check_center_target,
    check_proposals,
    check_switch,
)

BODY_JOINTS = 17  # of COCO-WholeBody's 133, in the list that all files have
_DATA_ADVICE = (
    'Give the folder of the data with --cfg-options data_root=... (or the '
    'environment variable that the config names), or give this key itself'
)


def build_runner(cfg: Config, mode: str) -> Runner:
    """Check a config, and build its runner.

    Raises:
        ConfigError: The data, the targets or the weights do not fit. The
            message names the config key or the file, and what to do.
    """
    if mode == 'train':
        _check_optimizer(cfg)
        _check_targets(cfg)
    data = CheckedData(cfg, mode)
    runner = _Runner.from_cfg(cfg)
    runner.annotations = data.files
    _check_keypoints(runner.model, data.num_keypoints)
    for part in dict.fromkeys([mode, 'val' if mode == 'train' else mode]):
        loop = _build_loop(runner, part)
        if loop is not None:
            dataset = loop.dataloader.dataset
            if part != 'train':
                check_images(dataset)
            check_sizes(dataset, data.files)
    if mode == 'test':
        check_weights(runner.model, cfg.load_from)
    elif cfg.get('load_from') and not cfg.get('resume'):
        _check_initial_weights(runner.model, cfg.load_from)
    return runner


class _Runner(Runner):
    """mmengine's runner, whose metrics don't read annotations again."""

    annotations: Mapping[str, KeypointAnnotations] = {}

    def build_evaluator(self, evaluator: dict | list | Evaluator) -> Evaluator:
        for _, metric in config_parts(evaluator, '', 'metrics'):
            known = self.annotations.get(metric.get('ann_file'))
            if known and is_a(metric.get('type'), METRICS, PoseNMSCocoMetric):
                metric['ann_file'] = known
        return super().build_evaluator(evaluator)


class CheckedData:
    """The annotations, detections and images that a config names, checked.

    Each file is read once. ``num_keypoints`` is that of the skeleton, None if
    the data sets do not tell.

    Raises:
        ConfigError: Something is missing or malformed, has another skeleton,
            or shows nobody to train on. The message begins with the key.
    """

    def __init__(self, cfg: Config, mode: str) -> None:
        self.files: dict[str, KeypointAnnotations] = {}
        self._evaluated: dict[str, int] = {}  # keypoints by path
        part = 'val' if mode == 'train' else 'test'
        counts = {}
        for loader in dict.fromkeys([mode, part]):
            for where, dataset in _datasets(cfg, loader):
                count = self._check_dataset(where, dataset, loader == part)
                # what is validated on may be a part of what is trained
                if loader == mode and count is not None:
                    counts[where] = count
        if len(set(counts.values())) > 1:
            raise ConfigError(
                'the data sets have different skeletons: '
                + ', '.join(f'{w} {n} keypoints' for w, n in counts.items())
            )
        self.num_keypoints = next(iter(counts.values()), None)
        key = f'{part}_evaluator'
        for where, metric in config_parts(cfg.get(key), key, 'metrics'):
            with _blamed_on(f'{where}.ann_file'):
                self._check_metric(metric)

    def _read(self, path: str) -> KeypointAnnotations:
        if path not in self.files:
            self.files[path] = KeypointAnnotations.read(path)
        return self.files[path]

    def _check_metric(self, metric: Mapping) -> None:
        """Check what the results are compared with."""
        if not is_a(metric.get('type'), METRICS, CocoMetric):
            return
        # without a file mmpose's takes that of the data set
        path = metric.get('ann_file') or next(iter(self._evaluated), None)
        if not path:
            return
        annotations = self._read(path)
        category = annotations.find_person_category()['id']
        if category != 1 and not is_a(
            metric['type'], METRICS, PoseNMSCocoMetric
        ):
            raise ConfigError(
                f'{path}: people are of category {category}, but CocoMetric '
                "takes predictions for 1: use type='PoseNMSCocoMetric'"
            )
        if metric.get('format_only'):
            return
        counts = set(self._evaluated.values())
        whole = is_a(metric['type'], METRICS, CocoWholeBodyMetric)
        converted = whole or metric.get('gt_converter') or len(counts) != 1
        annotations.require('categories')
        annotations.check_evaluation(
            None if converted else counts.pop(),
            metric.get('use_area', True),
            metric.get('iou_type', 'keypoints'),
        )

    def _check_dataset(
        self, where: str, dataset: Mapping, evaluated: bool
    ) -> int | None:
        """Check one data set; return the keypoints of its skeleton."""
        # an unknown type is reported when it is built
        if not is_a(dataset['type'], DATASETS, BaseCocoStyleDataset):
            return None
        kind = DATASETS.get(dataset['type'])
        with _blamed_on(f'{where}.metainfo.from_file'):
            skeleton = parse_pose_metainfo(
                dict(dataset.get('metainfo') or kind.METAINFO)
            )
            check_sigmas(skeleton['sigmas'])
        names = list(skeleton['keypoint_id2name'].values())
        root = Path(dataset.get('data_root') or '')
        annotations = None
        with _blamed_on(f'{where}.ann_file'):
            path = str(root / dataset.get('ann_file', ''))
            if not Path(path).is_file():
                raise FileNotFoundError(f'there is no file {path}')
            if all(
                getattr(kind, name) is getattr(BaseCocoStyleDataset, name)
                for name in ('_load_annotations', 'load_data_list')
            ):
                annotations = self._read(path)
                whole = issubclass(kind, CocoWholeBodyDataset)
                annotations.check_dataset(
                    names[:BODY_JOINTS] if whole else names,
                    dataset.get('data_mode') == 'bottomup',
                )
                if evaluated:
                    self._evaluated[path] = len(names)
                else:
                    annotations.check_training()
        if dataset.get('bbox_file'):
            with _blamed_on(f'{where}.bbox_file'):
                read_detections(dataset['bbox_file'], annotations)
        with _blamed_on(f'{where}.data_prefix.img'):
            images = root / (dataset.get('data_prefix') or {}).get('img', '')
            if not images.is_dir():
                raise FileNotFoundError(f'there is no folder {images}')
        # data sets of several skeletons, MPII's, are told which to take
        count = dataset.get('num_keypoints', skeleton.get('num_keypoints'))
        for index, transform in enumerate(dataset.get('pipeline') or ()):
            if transform['type'] == 'KeypointConverter':
                count, names = transform['num_keypoints'], None
            if transform['type'] == 'PGPGTransform' and names is not None:
                with _blamed_on(f'{where}.pipeline.{index}.model'):
                    check_proposals(transform.get('model'), names)
        return count


def _build_loop(runner: Runner, part: str) -> BaseLoop | None:
    """Build a loop, whose data set must have a batch."""
    key = f'{part}_dataloader'
    try:
        loop = getattr(runner, f'{part}_loop')
    except ValueError as error:
        # numpy's, by which mmengine joins the samples
        if 'at least one array' not in str(error):
            raise
        raise ConfigError(
            f'{key}.dataset: all samples are left out, by filter_cfg or boxes'
        ) from error
    loader = loop and loop.dataloader
    endless = loop and isinstance(loader.sampler, InfiniteSampler)
    if loop and not endless and not len(loader):
        raise ConfigError(
            f'{key}: its data set has {len(loader.dataset)} samples, fewer '
            f'than a batch: lower the batch_size {loader.batch_size}, or set '
            'drop_last=False'
        )
    return loop


@contextmanager
def _blamed_on(key: str) -> Iterator[None]:
    """Begin the message of an error with the config key."""
    try:
        yield
    except FileNotFoundError as error:
        raise ConfigError(f'{key}: {error}. {_DATA_ADVICE}') from None
    except ValueError as error:
        raise ConfigError(f'{key}: {error}') from None


def _datasets(cfg: Config, part: str) -> Iterator[tuple[str, Mapping]]:
    """Find the data set of a loader and those within it, by key."""
    key = f'{part}_dataloader'
    dataset = (cfg.get(key) or {}).get('dataset')
    return config_parts(dataset, f'{key}.dataset', 'dataset', 'datasets')


def _check_optimizer(cfg: Config) -> None:
    """Name an optimizer that is not registered, which mmengine does not."""
    kind = (cfg.get('optim_wrapper') or {}).get('optimizer', {}).get('type')
    if isinstance(kind, str) and OPTIMIZERS.get(kind) is None:
        raise ConfigError(
            f'optim_wrapper.optimizer: {kind} is not in mmengine'
        )


def _check_targets(cfg: Config) -> None:
    """Check that targets are made for the codec that reads predictions."""
    parts = config_parts(cfg.get('model'), 'model', 'sppe', 'head', 'pose_cfg')
    decoders = [
        (where, part['decoder'])
        for where, part in parts
        if isinstance(part.get('decoder'), Mapping)
    ]
    where, decoder = decoders[0] if decoders else ('', {})
    read = {
        name: (f'{where}.decoder.{name}', value)
        for name, value in decoder.items()
        if not name.startswith('decode_')
    }
    for where, dataset in _datasets(cfg, 'train'):
        seen, pipeline = {}, dataset.get('pipeline') or ()
        check_center_target(pipeline, f'{where}.pipeline')
        epochs = (cfg.get('train_cfg') or {}).get('max_epochs') or 0
        check_switch(pipeline, cfg.get('custom_hooks') or (), epochs)
        for index, transform in enumerate(pipeline):
            key = f'{where}.pipeline.{index}'
            size = transform.get('input_size')
            if size is not None:
                seen = {'input_size': (f'{key}.input_size', size)}
            encoder = transform.get('encoder')
            if not isinstance(encoder, Mapping):
                continue  # no target, or several for heads of several codecs
            for known in (seen, read):
                for name in encoder.keys() & known.keys():
                    made = f'{key}.encoder.{name}', encoder[name]
                    _require_equal(*made, *known[name])


def _require_equal(key: str, value: Any, other_key: str, other: Any) -> None:
    """Refuse two different values that should be the same."""
    if to_builtin_containers(value) != to_builtin_containers(other):
        raise ConfigError(
            f'{key}={value!r}, but {other_key}={other!r}: targets would be '
            'read in another way than they are made. Change both, or `codec`, '
            'of which both may be copies'
        )


def to_builtin_containers(value: Any) -> Any:
    """Return lists for tuples and dicts for mappings, at any depth."""
    if isinstance(value, list | tuple):
        return [to_builtin_containers(item) for item in value]
    if isinstance(value, Mapping):
        return {k: to_builtin_containers(v) for k, v in value.items()}
    return value


def _check_keypoints(model: nn.Module, num_keypoints: int | None) -> None:
    """Check that a model predicts the keypoints that the data has."""
    model = getattr(model, 'module', model)
    head = model.head if getattr(model, 'with_head', False) else None
    joints = getattr(head, 'num_joints', None)
    predicted = getattr(head, 'num_keypoints', joints)
    # heads that have nothing but keypoint channels
    if type(head).__name__ in ('HeatmapHead', 'SimCCHead', 'RTMCCHead'):
        # UDP's combined form has a heatmap and two offset maps a keypoint
        kind = getattr(head.decoder, 'heatmap_type', None)
        predicted = head.out_channels // (3 if kind == 'combined' else 1)
    if None not in (predicted, num_keypoints) and predicted != num_keypoints:
        raise ConfigError(
            f"model.head predicts {predicted} keypoints, but the data's "
            f'skeleton has {num_keypoints}: change the head, or the data set '
            'type (or metainfo)'
        )


def check_weights(model: nn.Module, path: str) -> None:
    """Refuse a checkpoint that lacks weights or has another shape of some.

    RMPE's second stage may be tested with the weights of its first.
    """
    own = getattr(model, 'module', model).state_dict()
    state = _read_weights(path)
    bad = [k for k in own if k in state and state[k].shape != own[k].shape]
    missing = [k for k in own if k not in state]
    bad += [
        key
        for key in missing
        # without these a test measures random numbers
        if key.startswith(('backbone.', 'neck.', 'head.'))
        and not key.endswith('num_batches_tracked')
    ]
    if bad:
        raise ConfigError(
            f'checkpoint {path} lacks {len(bad)} of the {len(own)} weights of '
            f'the model, or has them in other shapes ({bad[0]} the first): is '
            'it of another model? Give the config that it was trained with'
        )
    if any(key.startswith(('localizer.', 'sstn.')) for key in missing):
        print_log(
            f'{path} has no trained transformer (localizer, sstn): the SPPE '
            'is measured behind one that does nothing yet',
            logger='current',
            level=logging.WARNING,
        )


def _check_initial_weights(model: nn.Module, path: str) -> None:
    """Refuse a checkpoint to start from that is of another backbone."""
    own = getattr(model, 'module', model).state_dict()
    state = _read_weights(path)
    if not own.keys() & state.keys():
        raise ConfigError(
            f'load_from={path!r}: none of its {len(state)} weights is one of '
            f'the model ({next(iter(state), "no weight")} the first): is it '
            'of another model? A backbone alone goes into '
            'model.backbone.init_cfg'
        )
    for key in sorted(own.keys() & state.keys()):
        shapes = [tuple(weights[key].shape) for weights in (state, own)]
        if key.startswith('backbone.') and shapes[0] != shapes[1]:
            raise ConfigError(
                f'load_from={path!r}: its {key} has the shape {shapes[0]}, '
                f"the model's {shapes[1]}: it is of a backbone of another "
                'width or kind'
            )


def _read_weights(path: str) -> dict[str, Tensor]:
    """The weights of a checkpoint by name, as a model has them."""
    state = CheckpointLoader.load_checkpoint(path, map_location='cpu')
    if isinstance(state, dict):
        state = state.get('state_dict', state)
    if not isinstance(state, dict):
        raise ConfigError(
            f'checkpoint {path} holds no weights by name, but a '
            f'{type(state).__name__}: give one that the runner has saved'
        )
    return {key.removeprefix('module.'): v for key, v in state.items()}
