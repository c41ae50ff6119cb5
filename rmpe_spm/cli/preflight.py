"""Whether a run has the data that its config names, before it starts."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner.checkpoint import CheckpointLoader
from mmpose.datasets.datasets import MpiiDataset
from mmpose.datasets.datasets.base import BaseCocoStyleDataset
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.datasets.transforms import LoadImage
from mmpose.evaluation.metrics import CocoMetric
from mmpose.registry import DATASETS, METRICS, OPTIMIZERS, TRANSFORMS
from torch import Tensor, nn

from ..coco.validation import (
    check_areas,
    check_coco_annotations,
    check_detections,
    check_images,
)
from ..errors import ConfigError
from ..mpii.readers import read_mpii
from ..rmpe.parallel_branch import to_builtin_containers
from ..rmpe.pgpg_model import torso_joints
from ..rmpe.pgpg_model_file import load_proposal_model
from ..rmpe.pgpg_transform import find_model

# without these a test measures random numbers
PARTS = ('backbone.', 'neck.', 'head.')

# without these it measures RMPE's SPPE alone
TRANSFORMER = ('localizer.', 'sstn.')


def check_weights(model: nn.Module, path: str) -> None:
    """Load a checkpoint into a model, and refuse one of another model.

    The SPPE of RMPE's first stage may be tested with the config of the
    second, which is told in the log.

    Args:
        model (nn.Module): The model, which has the weights afterwards.
        path (str): The checkpoint, of any of mmengine's backends.

    Raises:
        ConfigError: The file holds no weights, or lacks weights of the
            model's backbone, neck or head, or has them in other shapes.
    """
    model = getattr(model, 'module', model)
    state = _read_weights(path)
    advice = 'is it of another model? Give the config that it was trained with'
    try:
        missing = model.load_state_dict(state, strict=False).missing_keys
    except RuntimeError as error:
        lines = str(error).splitlines()
        raise ConfigError(
            f'checkpoint {path} does not fit the model, {advice}. '
            f'{lines[min(1, len(lines) - 1)].strip()}'
        ) from error
    missing = [k for k in missing if not k.endswith('num_batches_tracked')]
    if any(key.startswith(TRANSFORMER) for key in missing):
        print_log(
            f'{path} has no trained transformer (localizer, sstn): what is '
            'measured is the SPPE behind one that does nothing yet',
            logger='current',
            level=logging.WARNING,
        )
    missing = [key for key in missing if key.startswith(PARTS)]
    if missing:
        raise ConfigError(
            f'checkpoint {path} lacks {len(missing)} of the '
            f'{len(model.state_dict())} weights of the model, '
            f'{missing[0]} the first: {advice}'
        )


def check_initial_weights(model: nn.Module, path: str) -> None:
    """Refuse a checkpoint to start from of which a model can use nothing.

    Parts may lack or have other shapes, as where a model for other keypoints
    starts from it; those mmengine logs.

    Args:
        model (nn.Module): The model, which has the weights afterwards.
        path (str): The checkpoint, of any of mmengine's backends.

    Raises:
        ConfigError: The file holds no weights, or none has the name of one
            of the model's.
    """
    model = getattr(model, 'module', model)
    state = _read_weights(path)
    try:
        unknown = model.load_state_dict(state, strict=False).unexpected_keys
    except RuntimeError:  # of equal names with other shapes
        return
    if len(unknown) == len(state):
        raise ConfigError(
            f'load_from={path!r}: none of its {len(state)} weights is one of '
            f'the model ({next(iter(state), "no weight")} the first): is it '
            'of another model? A backbone alone goes into '
            'model.backbone.init_cfg'
        )


def _read_weights(path: str) -> dict[str, Tensor]:
    checkpoint = CheckpointLoader.load_checkpoint(path, map_location='cpu')
    state = checkpoint
    if isinstance(checkpoint, dict):
        state = checkpoint.get('state_dict', checkpoint)
    if not isinstance(state, dict):
        raise ConfigError(
            f'checkpoint {path} holds no weights by name, but a '
            f'{type(state).__name__}: give one that the runner has saved'
        )
    return {key.removeprefix('module.'): v for key, v in state.items()}


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


# where a model's config has the head that decodes
_HEADS = ('sppe', 'head', 'pose_cfg')


def check_training(cfg: Config) -> None:
    """Check that targets are made for the codec that reads the predictions.

    Args:
        cfg (Config): The config, after the command line's changes.

    Raises:
        ConfigError: An encoder of the training pipeline differs from
            ``decoder`` of the model's head, apart from how that decodes, or
            from the size of the input that the pipeline makes. Names both
            keys.
        KeyError: The optimizer's type is not registered.
    """
    kind = (cfg.get('optim_wrapper') or {}).get('optimizer', {}).get('type')
    if isinstance(kind, str) and OPTIMIZERS.get(kind) is None:
        raise KeyError(f'{kind} is not in the {OPTIMIZERS.name} registry')
    decoder_key, decoder = _find_decoder(cfg.get('model') or {}, 'model')
    loader = cfg.get('train_dataloader') or {}
    pipelines = _pipelines(
        loader.get('dataset') or {}, 'train_dataloader.dataset'
    )
    for where, pipeline in pipelines:
        size_key, size = None, None
        for index, transform in enumerate(pipeline):
            key = f'{where}.{index}'
            if transform.get('input_size') is not None:
                size_key, size = f'{key}.input_size', transform['input_size']
            encoder = transform.get('encoder')
            if not isinstance(encoder, Mapping):
                continue  # no target, or several for heads of several codecs
            key = f'{key}.encoder'
            made = encoder.get('input_size')
            if None not in (size, made) and to_builtin_containers(
                size
            ) != to_builtin_containers(made):
                raise ConfigError(
                    f'{size_key}={size}, but the target is made for '
                    f'{key}.input_size={made}: make them equal'
                )
            if decoder is not None:
                _check_codecs(key, encoder, decoder_key, decoder)


def _check_codecs(
    key: str, encoder: Mapping, decoder_key: str, decoder: Mapping
) -> None:
    for name in encoder.keys() & decoder.keys():
        if name.startswith('decode_'):
            continue
        taught, used = (
            to_builtin_containers(codec[name]) for codec in (encoder, decoder)
        )
        if taught != used:
            raise ConfigError(
                f'{key}.{name}={encoder[name]!r}, but '
                f'{decoder_key}.{name}={decoder[name]!r}: what is trained '
                'would be read in another way. Change both, or `codec`, '
                'where both are copies of it'
            )


def _find_decoder(
    model: Mapping, where: str
) -> tuple[str | None, Mapping | None]:
    for name in _HEADS:
        inner = model.get(name)
        if isinstance(inner, Mapping):
            decoder = inner.get('decoder')
            if isinstance(decoder, Mapping):
                return f'{where}.{name}.decoder', decoder
            found = _find_decoder(inner, f'{where}.{name}')
            if found[1] is not None:
                return found
    return None, None


def _pipelines(dataset: Mapping, where: str) -> Iterator[tuple[str, list]]:
    """Yield the pipelines of a data set and of those within, with keys."""
    if dataset.get('pipeline'):
        yield f'{where}.pipeline', dataset['pipeline']
    if 'dataset' in dataset:
        yield from _pipelines(dataset['dataset'], f'{where}.dataset')
    for index, inner in enumerate(dataset.get('datasets') or ()):
        yield from _pipelines(inner, f'{where}.datasets.{index}')


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
