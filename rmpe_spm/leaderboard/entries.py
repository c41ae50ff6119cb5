"""One evaluation: a model on a data set with a source of boxes.

An entry's config is changed for it, and identified by a key: equal keys,
equal results.
"""

import json
from argparse import Namespace
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import mmpose
from mmengine.config import Config
from mmpose.registry import TRANSFORMS

from ..cli.arguments import (
    apply_options,
    is_a,
    join_cpu_processes,
    load_config,
)
from ..coco.results import read_detections
from ..engine.hooks import GROUND_TRUTH, GROUPS, SINGLE_STAGE, detections_name
from ..errors import ConfigError
from ..experiments.box_errors import (
    AMPLIFICATION,
    perturb_boxes,
    read_people,
)
from ..experiments.runs import digest_settings
from ..files import digest, digest_file, read_json, write_atomically
from ..mpii.dataset import GroupAffine
from ..version import __version__
from .spec import BoxSource, DataSetSpec, LeaderboardSpec, ModelSpec

# Raised where what is recorded of an evaluation changes.
FORMAT = 4

# What an evaluation depends on.
SETTINGS = (
    'default_scope', 'custom_imports', 'custom_hooks', 'model',
    'test_dataloader', 'test_evaluator', 'test_cfg',
)  # fmt: skip
# What in them changes no result: how data are read, where training starts,
# and where files are (their content counts).
WITHOUT_EFFECT = (
    'num_workers', 'persistent_workers', 'pin_memory', 'prefetch_factor',
    'init_cfg', 'data_root', 'outfile_prefix', 'collect_device',
)  # fmt: skip
# What decides which people are evaluated, and the default.
DATA_SETTINGS = dict(
    data_root=None, ann_file=None, indices=None, sample_interval=1,
    # MPII's
    protocol='image', group_file=None, split=None, num_keypoints=None,
    min_people=1, headbox_file=None,
)  # fmt: skip
# What decides which poses and joints count as found.
METRIC_SETTINGS = dict(
    thr=None, unannotated=None, empty_units=None, iou_type='keypoints',
    use_area=True,
)  # fmt: skip

# What a source of boxes changes nothing of.
WITHOUT_BOXES = (SINGLE_STAGE, GROUPS)


@dataclass(frozen=True)
class Entry:
    """One evaluation to be made; without a data set on the config's own."""

    model: ModelSpec
    data_set: DataSetSpec | None
    box_source: BoxSource


@dataclass
class PreparedEntry:
    """An entry whose config was found and changed for it.

    ``data_set`` and ``boxes`` are names in the tables; entries with equal
    ``data_key``, of annotations and metrics, compare.
    """

    cfg: Config
    data_set: str
    boxes: str
    data_key: str

    @cached_property
    def checkpoint_sha256(self) -> str:
        """Of the checkpoint's content; a ConfigError where it is missing."""
        checkpoint = self.cfg.load_from
        if not Path(checkpoint).is_file():
            raise ConfigError(f'the checkpoint {checkpoint} does not exist')
        return digest_file(checkpoint, 64)

    @cached_property
    def key(self) -> str:
        """A digest of all that the result depends on."""
        content = self.cfg.to_dict()
        parts = [
            {name: content.get(name) for name in SETTINGS},
            self.checkpoint_sha256,
            [FORMAT, __version__, mmpose.__version__],
        ]
        return digest_settings(parts, WITHOUT_EFFECT)


def list_entries(spec: LeaderboardSpec) -> list[Entry]:
    """Every model on every data set with every source of boxes, in order."""
    places = [(each, each.box_sources) for each in spec.data_sets]
    places = places or [(None, spec.box_sources)]
    return [
        Entry(model, data_set, source)
        for model in spec.models
        for data_set, sources in places
        for source in sources
    ]


def prepare(entry: Entry, args: Namespace, folder: Path) -> PreparedEntry:
    """Make the config of an entry; a model's options win over ``args``'.

    Raises:
        ConfigError: The config or a file of boxes is missing or malformed.
    """
    model = entry.model
    given = dict(vars(args), config=model.config, work_dir=None)
    cfg = load_config(Namespace(**given))
    options = {**(args.cfg_options or {}), **model.cfg_options}
    apply_options(cfg, Namespace(cfg_options=options))
    for key in ('test_dataloader', 'test_evaluator', 'test_cfg'):
        if cfg.get(key) is None:
            raise ConfigError(f'the config {model.config} has no {key}')
    if isinstance(cfg.test_evaluator, dict):
        cfg.test_evaluator = [cfg.test_evaluator]
    if entry.data_set is not None:
        _replace_data_set(cfg, entry.data_set)
    boxes = apply_box_source(cfg, entry.box_source, folder)
    cfg.load_from, cfg.resume = model.checkpoint, False
    join_cpu_processes(cfg)
    name = Path(cfg.test_dataloader.dataset.get('ann_file', 'data')).stem
    name = entry.data_set.name if entry.data_set else name
    return PreparedEntry(cfg, name, boxes, _data_key(cfg))


def is_single_stage(cfg: Config) -> bool:
    """Tell whether a test's images, or groups of people, go in whole."""
    dataset = cfg.test_dataloader.dataset
    return dataset.get('data_mode', 'topdown') == 'bottomup'


def apply_box_source(cfg: Config, source: BoxSource, folder: Path) -> str:
    """Make a config's test, in place, use a source of boxes; return its name.

    Raises:
        ConfigError: The data set takes no detections, or a file is missing
            or malformed.
    """
    dataset = cfg.test_dataloader.dataset
    if is_single_stage(cfg):
        crops = any(
            is_a(step['type'], TRANSFORMS, GroupAffine)
            for step in dataset.get('pipeline') or ()
        )
        return GROUPS if crops else SINGLE_STAGE
    if source.kind == 'config':
        file = dataset.get('bbox_file')
        filters = dataset.get('filter_cfg')
        return detections_name(file, filters) if file else GROUND_TRUTH
    if 'dataset' in dataset or 'datasets' in dataset:
        raise ConfigError(
            f'test_dataloader.dataset is a {dataset.get("type")} of other '
            'data sets, whose boxes cannot be replaced: use the box source '
            'config'
        )
    dataset.pop('bbox_file', None)
    if source.kind == 'ground_truth':
        return GROUND_TRUTH
    if source.file is not None:
        read_detections(source.file)
    if source.score_thr is not None:
        dataset.filter_cfg = {
            **(dataset.get('filter_cfg') or {}),
            'bbox_score_thr': source.score_thr,
        }
    if source.kind == 'detections':
        dataset.bbox_file = source.file
        return detections_name(source.file, dataset.get('filter_cfg'))
    dataset.bbox_file = str(_perturbed_file(dataset, source, folder))
    if source.error == AMPLIFICATION:
        name = detections_name(source.file, dataset.get('filter_cfg'))
        return f'{name}, errors x {source.size:g}'
    return f'{GROUND_TRUTH}, {source}'


def _perturbed_file(dataset: Mapping, source: BoxSource, folder: Path) -> Path:
    """Perturb the boxes of a data set; the file is named by its content."""
    people = read_people(dataset)
    detections = source.file and read_json(source.file)
    ann_file = Path(dataset.get('data_root') or '') / dataset['ann_file']
    try:
        boxes = perturb_boxes(
            people, source.error, source.size, detections, source.seed
        )
    except (KeyError, TypeError) as error:
        raise ConfigError(
            f"{ann_file}: box errors need annotations in COCO's layout or "
            f"MPII's ({type(error).__name__}: {error})"
        ) from error
    content = json.dumps(boxes)
    name = f'{ann_file.stem}-{source.error}-{source.size:g}-{source.seed}'
    return write_atomically(folder / f'{name}-{digest(content)}.json', content)


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


def _data_key(cfg: Config) -> str:
    content = cfg.to_dict()
    parts = [(content['test_dataloader']['dataset'], DATA_SETTINGS)]
    parts += [(each, METRIC_SETTINGS) for each in content['test_evaluator']]
    chosen = [
        {name: given.get(name, default) for name, default in known.items()}
        for given, known in parts
    ]
    return digest_settings(chosen, WITHOUT_EFFECT)
