"""One evaluation: a model on a data set with a source of boxes."""

import hashlib
import inspect
import json
import os
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mmpose
from mmengine.config import Config
from mmengine.registry import Registry
from mmpose.evaluation.metrics import CocoMetric
from mmpose.registry import DATASETS, METRICS

from ..cli.arguments import apply_options, join_cpu_processes, load_config
from ..errors import ConfigError
from ..version import __version__
from .box_sources import BoxSource, apply_box_source
from .spec import DataSetSpec, Listing, ModelSpec

# Raised where what is recorded of an evaluation changes.
FORMAT = 2

# What an evaluation depends on.
SETTINGS = (
    'default_scope',
    'custom_imports',
    'custom_hooks',
    'model',
    'test_dataloader',
    'test_evaluator',
    'test_cfg',
)

# What in them changes no result: how data are read, where training starts,
# and where files are (their content counts).
WITHOUT_EFFECT = (
    'num_workers',
    'persistent_workers',
    'pin_memory',
    'prefetch_factor',
    'init_cfg',
    'data_root',
    'outfile_prefix',
    'collect_device',
)

# What decides which people are evaluated, the last six with MPII.
DATA_ARGUMENTS = (
    'indices',
    'sample_interval',
    'protocol',
    'group_file',
    'split',
    'num_keypoints',
    'min_people',
    'headbox_file',
)

# What decides which joints count as found, where COCO's OKS does not.
METRIC_ARGUMENTS = ('thr', 'unannotated')


@dataclass(frozen=True)
class Entry:
    """One evaluation to be made.

    Attributes:
        model (ModelSpec): The model.
        data_set (DataSetSpec, optional): None for the config's own.
        box_source (BoxSource): The source of boxes.
    """

    model: ModelSpec
    data_set: DataSetSpec | None
    box_source: BoxSource


@dataclass
class PreparedEntry:
    """An entry whose config was found and changed for it.

    Attributes:
        cfg (Config): The config to run.
        data_set (str): The name of the data set.
        boxes (str): What the source of boxes is called.
        key (str): What the result is kept under: equal keys, equal results.
            Empty until :func:`identify`.
        data_key (str): Equal for equal annotations and metrics. Likewise.
        checkpoint_sha256 (str): Of the checkpoint's content. Likewise.
    """

    cfg: Config
    data_set: str
    boxes: str
    key: str = ''
    data_key: str = ''
    checkpoint_sha256: str = ''


def list_entries(listing: Listing) -> list[Entry]:
    """Every model on every data set with every source of boxes.

    Args:
        listing (Listing): What a leaderboard is to hold.

    Returns:
        list[Entry]: The evaluations, in the listing's order.
    """
    places = [(each, each.box_sources) for each in listing.data_sets]
    places = places or [(None, listing.box_sources)]
    return [
        Entry(model, data_set, source)
        for model in listing.models
        for data_set, sources in places
        for source in sources
    ]


def prepare(
    entry: Entry, args: Namespace, folder: Path, write: bool = True
) -> PreparedEntry:
    """Make the config of an entry.

    Args:
        entry (Entry): The entry.
        args (Namespace): ``launcher``, ``local_rank`` and ``cfg_options`` of
            the command line, the last for all models; a model's own win.
        folder (Path): Where files of perturbed boxes are kept.
        write (bool): Whether to write these. Defaults to True.

    Returns:
        PreparedEntry: The config, without the keys.

    Raises:
        ConfigError: The config or a file of boxes is missing or of another
            form than it must be.
    """
    model = entry.model
    cfg = load_config(
        Namespace(
            config=model.config,
            launcher=args.launcher,
            local_rank=args.local_rank,
            work_dir=None,
        )
    )
    options = {**(args.cfg_options or {}), **model.cfg_options}
    apply_options(cfg, Namespace(cfg_options=options))
    for key in ('test_dataloader', 'test_evaluator', 'test_cfg'):
        if cfg.get(key) is None:
            raise ConfigError(f'the config {model.config} has no {key}')
    if isinstance(cfg.test_evaluator, dict):
        cfg.test_evaluator = [cfg.test_evaluator]
    if entry.data_set is not None:
        _replace_data_set(cfg, entry.data_set)
    boxes = apply_box_source(cfg, entry.box_source, folder, write)
    cfg.load_from, cfg.resume = model.checkpoint, False
    join_cpu_processes(cfg)
    name = Path(cfg.test_dataloader.dataset.get('ann_file', 'data')).stem
    return PreparedEntry(
        cfg=cfg,
        data_set=entry.data_set.name if entry.data_set else name,
        boxes=boxes,
    )


def identify(prepared: PreparedEntry) -> None:
    """Find the keys of a prepared entry.

    The key is a hash of the settings that a result depends on, after all
    options, of the content of every file that these name (annotations,
    boxes, a learned pose NMS), of the checkpoint's content and of the
    versions of mmpose and this package. Images are not read for it.

    Args:
        prepared (PreparedEntry): Gets the keys.

    Raises:
        ConfigError: The checkpoint is missing.
    """
    checkpoint = prepared.cfg.load_from
    if not Path(checkpoint).is_file():
        raise ConfigError(f'the checkpoint {checkpoint} does not exist')
    sha256 = file_sha256(checkpoint)
    prepared.checkpoint_sha256 = sha256
    prepared.key = _cache_key(prepared.cfg, sha256)
    prepared.data_key = _data_key(prepared.cfg)


def coco_evaluator(cfg: Config) -> dict | None:
    """The evaluator that writes and evaluates COCO results, if any.

    Args:
        cfg (Config): A prepared config.

    Returns:
        dict | None: Its settings.
    """
    for evaluator in cfg.test_evaluator:
        kind = evaluator['type']
        kind = METRICS.get(kind) if isinstance(kind, str) else kind
        if isinstance(kind, type) and issubclass(kind, CocoMetric):
            return evaluator
    return None


def file_sha256(path: str | os.PathLike) -> str:
    """SHA-256 of a file's content.

    Args:
        path (str | PathLike): The file.

    Returns:
        str: 64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _replace_data_set(cfg: Config, spec: DataSetSpec) -> None:
    dataset = cfg.test_dataloader.dataset
    for key in ('bbox_file', 'metainfo', 'indices'):
        dataset.pop(key, None)  # they belong to the data that is replaced
    for key, value in spec.dataset.items():
        dataset[key] = deepcopy(value)
    if 'type' in spec.evaluator:
        cfg.test_evaluator = [deepcopy(spec.evaluator)]
        return
    path = Path(dataset.get('data_root') or '') / dataset.ann_file
    for evaluator in cfg.test_evaluator:
        if 'ann_file' in evaluator:
            evaluator['ann_file'] = str(path)
        evaluator.update(deepcopy(spec.evaluator))


def _cache_key(cfg: Config, checkpoint_sha256: str) -> str:
    content = cfg.to_dict()
    settings = {name: content.get(name) for name in SETTINGS}
    return _digest(
        dict(
            settings=_without_places(settings),
            checkpoint=checkpoint_sha256,
            versions=[FORMAT, __version__, mmpose.__version__],
        )
    )


def _data_key(cfg: Config) -> str:
    """Of what must be equal where two models are compared."""
    dataset = cfg.to_dict()['test_dataloader']['dataset']
    names = ('data_root', 'ann_file')
    parts = {name: dataset[name] for name in names if name in dataset}
    parts |= _arguments(dataset, DATA_ARGUMENTS, DATASETS)
    evaluator = coco_evaluator(cfg)
    if evaluator is None:
        metric = [
            [str(each['type']), _arguments(each, METRIC_ARGUMENTS, METRICS)]
            for each in cfg.test_evaluator
        ]
    else:
        metric = [
            evaluator.get('iou_type', 'keypoints'),
            evaluator.get('use_area', True),
        ]
    return _digest([_without_places(parts), metric])


def _arguments(
    settings: Mapping, names: Iterable[str], registry: Registry
) -> dict[str, Any]:
    """Arguments as given, or else their defaults, which mean the same."""
    kind = settings.get('type')
    kind = registry.get(kind) if isinstance(kind, str) else kind
    found = {}
    # a class may take those of its parents as **kwargs
    for each in reversed(kind.__mro__ if isinstance(kind, type) else ()):
        parameters = inspect.signature(each.__init__).parameters
        found |= {
            name: parameters[name].default
            for name in names
            if name in parameters
        }
    found |= {name: settings[name] for name in names if name in settings}
    # None and nothing are the same, too
    return {name: each for name, each in found.items() if each is not None}


def _without_places(node: Any, root: str = '') -> Any:
    """Replace names of files by hashes of their content."""
    if isinstance(node, Mapping):
        root = node.get('data_root') or root
        return {
            str(key): _without_places(value, root)
            for key, value in node.items()
            if key not in WITHOUT_EFFECT
        }
    if isinstance(node, list | tuple):
        return [_without_places(item, root) for item in node]
    if isinstance(node, str):
        for path in _possible_paths(node, root):
            if path.is_file():
                return file_sha256(path)
    return node


def _possible_paths(text: str, root: str) -> Iterator[Path]:
    yield Path(text)
    yield Path(root) / text


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
