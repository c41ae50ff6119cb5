"""Checks that a run can work, before it starts."""

from collections.abc import Iterator
from pathlib import Path

import torch
from mmengine.config import Config
from mmpose.datasets.datasets import MpiiDataset
from mmpose.datasets.datasets.base import BaseCocoStyleDataset
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.evaluation.metrics import CocoMetric
from mmpose.registry import DATASETS, METRICS
from torch import Tensor, nn

from ..datasets.mpii_annotations import read_mpii
from .annotation_check import (
    ConfigError,
    check_areas,
    check_coco_annotations,
    check_detections,
)

# Where each kind of run reads its data from.
LOADERS = {
    'train': ('train_dataloader', 'val_dataloader'),
    'test': ('test_dataloader',),
}
EVALUATORS = {
    'train': ('val_evaluator',),
    'test': ('test_evaluator',),
}


def check_data(cfg: Config, mode: str) -> tuple[int | None, list[str]]:
    """Check the annotation, detection and image paths of a config.

    Args:
        cfg (Config): The config, after the command line's changes.
        mode (str): ``'train'`` or ``'test'``.

    Returns:
        tuple[int | None, list[str]]: Keypoints of the skeleton that the data
        sets of training (or of the test) share, None if they do not tell;
        and what training will leave out or repair, a line each.

    Raises:
        ConfigError: Something is missing or malformed. Names the config key,
            the path and what to do.
    """
    counts, notes = {}, {}
    evaluators = {key: _evaluators(cfg, key) for key in EVALUATORS[mode]}
    annotated = mode == 'train' or not _writes_only(*evaluators.values())
    for key in LOADERS[mode]:
        loader = cfg.get(key)
        if loader is None:
            continue
        for where, dataset in _datasets(loader['dataset'], f'{key}.dataset'):
            evaluated = key != 'train_dataloader'
            count = _check_dataset(where, dataset, notes, evaluated, annotated)
            # What is validated on may be a part of what is trained.
            if count is not None and key == LOADERS[mode][0]:
                counts[where] = count
    for key, metrics in evaluators.items():
        for evaluator in metrics:
            path = evaluator.get('ann_file')
            if path and not Path(path).is_file():
                raise ConfigError(
                    f'{key}.ann_file: {path} does not exist. {_DATA_ADVICE}'
                )
            if path and _needs_areas(evaluator):
                try:
                    check_areas(Path(path))
                except ConfigError as error:
                    raise ConfigError(f'{key}.ann_file: {error}') from None
    if len(set(counts.values())) > 1:
        raise ConfigError(
            'the data sets have different skeletons: '
            + ', '.join(f'{w} {n} keypoints' for w, n in counts.items())
        )
    return next(iter(counts.values()), None), sum(notes.values(), [])


@torch.no_grad()
def check_model(model: nn.Module, num_keypoints: int | None) -> None:
    """Check a built model against its codec and the data.

    One image of zeros goes through the backbone and the head.

    Args:
        model (nn.Module): An mmpose estimator.
        num_keypoints (int | None): Keypoints of the data, None if unknown.

    Raises:
        ConfigError: The backbone cannot take the codec's input size, the
            head's maps or keypoints are not the codec's or the data's, or
            RMPE's transformer does not take its localiser's features.
    """
    model = getattr(model, 'module', model)
    head = model.head if getattr(model, 'with_head', False) else None
    codec = getattr(head, 'decoder', None)
    size = getattr(codec, 'input_size', None)
    declared = _head_keypoints(head)
    if None not in (declared, num_keypoints) and declared != num_keypoints:
        raise ConfigError(
            f"model.head predicts {declared} keypoints, but the data's "
            f'skeleton has {num_keypoints}: change the head, or the dataset '
            'type (or metainfo)'
        )
    if size is None or len(size) != 2:
        return
    w, h = map(int, size)
    where = (
        f'model.backbone ({type(model.backbone).__name__}) and the input '
        f'size {w}x{h} (width x height) of the codec'
    )
    image = torch.zeros(1, 3, h, w, device=next(model.parameters()).device)
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        maps = head(model.extract_feat(image))
        _check_localizer(model, image)
    except ConfigError:
        raise
    except (NotImplementedError, TypeError, AttributeError):
        return  # a model that does not predict from an image alone
    except (RuntimeError, ValueError) as error:
        raise ConfigError(
            f'{where} do not go together: {str(error).splitlines()[0]}. Most '
            'backbones need a multiple of 32 (codec.input_size)'
        ) from error
    finally:
        for module in training:
            module.training = True
    expected = getattr(codec, 'heatmap_size', None)
    if expected is None:
        return
    expected = tuple(map(int, expected))
    for got in _map_sizes(maps):
        if got != expected:
            raise ConfigError(
                f'{where} give maps of {got[0]}x{got[1]} cells, but the '
                f'codec expects heatmap_size={expected}: change it, or the '
                "head's deconvolutions"
            )


def _check_localizer(model: nn.Module, image: Tensor) -> None:
    """Check that RMPE's localiser and transformer fit, if it has them."""
    if not hasattr(model, 'regress_theta'):
        return
    try:
        model.regress_theta(image)
    except RuntimeError as error:
        raise ConfigError(
            'model.localizer and model.sstn do not go together: '
            f'{str(error).splitlines()[0]}. model.sstn.in_channels are those '
            "of the localiser's last map"
        ) from error


def _evaluators(cfg: Config, key: str) -> list[dict]:
    evaluators = cfg.get(key) or []
    return [evaluators] if isinstance(evaluators, dict) else list(evaluators)


def _writes_only(evaluators: list[dict]) -> bool:
    """Whether results are written for a server and compared with nothing."""
    return bool(evaluators) and all(e.get('format_only') for e in evaluators)


def _needs_areas(evaluator: dict) -> bool:
    """Whether the results are compared by OKS with annotated areas."""
    kind = evaluator['type']
    if isinstance(kind, str):
        kind = METRICS.get(kind)
    return (
        isinstance(kind, type)
        and issubclass(kind, CocoMetric)
        and evaluator.get('use_area', True)
        and not evaluator.get('format_only', False)
        and evaluator.get('iou_type', 'keypoints') == 'keypoints'
    )


_DATA_ADVICE = (
    'Give the folder of the data with --cfg-options data_root=... (or the '
    'environment variable that the config names), or that key itself'
)


def _datasets(dataset: dict, where: str) -> Iterator[tuple[str, dict]]:
    """Yield the plain data sets within wrappers, with their config keys."""
    if 'datasets' in dataset:
        for index, inner in enumerate(dataset['datasets']):
            yield from _datasets(inner, f'{where}.datasets[{index}]')
    elif 'dataset' in dataset:
        yield from _datasets(dataset['dataset'], f'{where}.dataset')
    else:
        yield where, dataset


def _check_dataset(
    where: str,
    dataset: dict,
    notes: dict,
    evaluated: bool,
    annotated: bool,
) -> int | None:
    """Check one data set; return the keypoints of its skeleton.

    Notes are added by file; a file that is there already was checked.
    """
    kind = dataset['type']
    if isinstance(kind, str):
        kind = DATASETS.get(kind)
    # An unknown type is reported, with its like, when it is built.
    if kind is None or not issubclass(kind, BaseCocoStyleDataset):
        return None
    root = Path(dataset.get('data_root') or '')
    metainfo = dataset.get('metainfo') or kind.METAINFO
    try:
        skeleton = parse_pose_metainfo(dict(metainfo))
    except FileNotFoundError as error:
        raise ConfigError(
            f'{where}.metainfo.from_file: {error} Give the path of a '
            'skeleton, e.g. configs/_base_/datasets/coco.py'
        ) from None
    # data sets of several skeletons, MPII's, are told which to take
    count = dataset.get('num_keypoints', skeleton.get('num_keypoints'))
    own_format = any(
        getattr(kind, name) is not getattr(BaseCocoStyleDataset, name)
        for name in ('_load_annotations', 'load_data_list')
    )
    annotations = root / dataset.get('ann_file', '')
    if not annotations.is_file():
        raise ConfigError(
            f'{where}.ann_file: {annotations} does not exist. {_DATA_ADVICE}'
        )
    checked = annotations, count, evaluated
    if not own_format and checked not in notes:
        try:
            found = check_coco_annotations(
                annotations,
                list(skeleton['keypoint_id2name'].values()),
                evaluated,
                annotated,
            )
        except ConfigError as error:
            raise ConfigError(f'{where}.ann_file: {error}') from None
        notes[checked] = found
    if issubclass(kind, MpiiDataset) and annotations.suffix == '.json':
        try:
            read_mpii(annotations)
        except ValueError as error:
            raise ConfigError(f'{where}.ann_file: {error}') from None
    boxes = dataset.get('bbox_file')
    if boxes and not Path(boxes).is_file():
        raise ConfigError(
            f'{where}.bbox_file: {boxes} does not exist. {_DATA_ADVICE}'
        )
    if boxes and boxes not in notes:
        try:
            check_detections(Path(boxes), None if own_format else annotations)
        except ConfigError as error:
            raise ConfigError(f'{where}.bbox_file: {error}') from None
        notes[boxes] = []
    images = root / (dataset.get('data_prefix') or {}).get('img', '')
    if not images.is_dir():
        raise ConfigError(
            f'{where}.data_prefix.img: the folder {images} does not exist. '
            f'{_DATA_ADVICE}'
        )
    for transform in dataset.get('pipeline') or ():
        if transform['type'] == 'KeypointConverter':
            count = transform['num_keypoints']
    return count


def _head_keypoints(head: nn.Module | None) -> int | None:
    """Return the keypoints that a head predicts, None if it does not tell."""
    for name in ('num_keypoints', 'num_joints'):
        if isinstance(getattr(head, name, None), int):
            return getattr(head, name)
    # Heads that have nothing but keypoint channels.
    if type(head).__name__ not in ('HeatmapHead', 'SimCCHead', 'RTMCCHead'):
        return None
    # UDP's combined form has a heatmap and two offset maps a keypoint.
    codec = getattr(head, 'decoder', None)
    combined = getattr(codec, 'heatmap_type', None) == 'combined'
    return head.out_channels // 3 if combined else head.out_channels


def _map_sizes(outputs: object) -> Iterator[tuple[int, int]]:
    """Yield the sizes (w, h) of the maps among a head's outputs."""
    if isinstance(outputs, torch.Tensor):
        if outputs.ndim == 4:
            yield tuple(outputs.shape[:1:-1])
    elif isinstance(outputs, list | tuple):
        for output in outputs:
            yield from _map_sizes(output)
