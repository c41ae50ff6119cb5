"""Whether a run has the data that its config names, before it starts."""

from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config
from mmpose.datasets.datasets import MpiiDataset
from mmpose.datasets.datasets.base import BaseCocoStyleDataset
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.datasets.transforms import LoadImage
from mmpose.evaluation.metrics import CocoMetric
from mmpose.registry import DATASETS, METRICS, TRANSFORMS

from ..datasets.mpii_annotations import read_mpii
from ..datasets.transforms.pgpg_transform import find_model
from ..structures.atomic_poses import torso_joints
from ..structures.proposal_model_file import load_proposal_model
from .annotation_check import (
    ConfigError,
    check_areas,
    check_coco_annotations,
    check_detections,
)
from .image_check import check_images

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
    pipeline = dataset.get('pipeline') or ()
    loaders = [t for t in pipeline if _loads_images(t['type'])]
    part = dataset.get('indices') or dataset.get('sample_interval', 1) > 1
    if evaluated and loaders and not own_format and not part:
        backend = loaders[0].get('imdecode_backend', 'cv2')
        try:
            check_images(
                annotations,
                images,
                Path(boxes) if boxes else None,
                dataset.get('data_mode', 'topdown') == 'topdown',
                backend != 'cv2',
            )
        except ConfigError as error:
            raise ConfigError(f'{where}.data_prefix.img: {error}') from None
    names = list(skeleton['keypoint_id2name'].values())
    for index, transform in enumerate(pipeline):
        if transform['type'] == 'KeypointConverter':
            count, names = transform['num_keypoints'], None
        if transform['type'] == 'PGPGTransform' and names is not None:
            _check_proposals(f'{where}.pipeline[{index}]', transform, names)
    return count


def _loads_images(kind: str | type) -> bool:
    """Whether a transform reads an image's file."""
    if isinstance(kind, str):
        kind = TRANSFORMS.get(kind)
    return isinstance(kind, type) and issubclass(kind, LoadImage)


def _check_proposals(where: str, transform: dict, names: list[str]) -> None:
    """Check that PGPG's file finds a torso where the data has it.

    Joints may have other names beside the torso's; their number is checked
    when the transform meets a pose.
    """
    if transform.get('model') is None:
        return
    fitted = load_proposal_model(find_model(transform['model']))
    try:
        same = torso_joints(names) == torso_joints(fitted.keypoint_names)
    except ValueError as error:
        raise ConfigError(f'{where}: {error}') from None
    if not same:
        raise ConfigError(
            f'{where}.model: {transform["model"]} is fitted to people whose '
            f'joints are {", ".join(fitted.keypoint_names)}, the data set '
            f'has {", ".join(names)}: fit one for it with tools/fit_pgpg.py'
        )
