"""Where a top-down test gets its people's boxes from."""

import difflib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmpose.registry import TRANSFORMS

from ..coco.validation import check_detections
from ..engine.hooks import GROUND_TRUTH, GROUPS, SINGLE_STAGE, detections_name
from ..errors import ConfigError
from ..experiments.box_errors import (
    AMPLIFICATION,
    ERROR_KINDS,
    OTHER_SETTINGS,
    perturb_boxes,
    read_people,
)
from ..files import digest, read_json, write_atomically
from ..mpii.units import GroupAffine

_REQUIRED = object()


def check_keys(entry: Any, allowed: Iterable[str], where: str) -> None:
    """Refuse what is no mapping, and keys that nothing uses.

    Args:
        entry (Any): The part of the file.
        allowed (iterable): The keys that it may have.
        where (str): Its place in the file.

    Raises:
        ConfigError: Names the place, the key and those like it.
    """
    allowed = tuple(allowed)
    if not isinstance(entry, Mapping):
        raise ConfigError(
            f'{where} must have keys ({", ".join(allowed)}), but is {entry!r}'
        )
    for key in entry:
        if key not in allowed:
            like = difflib.get_close_matches(str(key), allowed, n=1)
            advice = f'did you mean {like[0]}' if like else 'the keys are '
            advice += '?' if like else ', '.join(allowed)
            raise ConfigError(f'{where}: unknown key {key!r}: {advice}')


def take(
    entry: Mapping[str, Any],
    key: str,
    kind: type,
    where: str,
    default: Any = _REQUIRED,
) -> Any:
    """Return a value of the kind that it must be.

    Args:
        entry (mapping): The part of the file.
        key (str): The key.
        kind (type): ``str``, ``int``, ``float``, ``bool``, ``list`` or
            ``dict``.
        where (str): The place of the part.
        default (Any): What to return without the key; without a default the
            key is required.

    Returns:
        Any: The value; a whole number becomes a ``float`` where one is
        asked for.

    Raises:
        ConfigError: The key is missing, or its value is of another kind.
    """
    if key not in entry:
        if default is _REQUIRED:
            raise ConfigError(f'{where} lacks {key!r}')
        return default
    value = entry[key]
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        names = dict(str='text', int='a whole number', float='a number')
        names |= dict(list='a list', dict='keys and values')
        names |= dict(bool='true or false')
        raise ConfigError(
            f'{where}: {key} must be {names[kind.__name__]}, but is {value!r}'
        )
    return value


KINDS = ('config', 'ground_truth', 'detections', 'perturbed')

# What a source of boxes changes nothing of.
WITHOUT_BOXES = (SINGLE_STAGE, GROUPS)


@dataclass(frozen=True)
class BoxSource:
    """One source of boxes.

    Attributes:
        kind (str): ``'config'``, what the config's own test uses;
            ``'ground_truth'``, the annotated boxes; ``'detections'``, a
            file; ``'perturbed'``, boxes with errors of one size.
        file (str, optional): The detections, COCO results; also those whose
            errors are amplified. Defaults to None.
        score_thr (float, optional): Detections with a lower score are left
            out; None leaves it to the config. Defaults to None.
        error (str, optional): Of perturbed boxes the kind of error. Defaults
            to None.
        size (float): Its size. Defaults to 0.0.
        seed (int): The seed of its directions. Defaults to 0.
    """

    kind: str
    file: str | None = None
    score_thr: float | None = None
    error: str | None = None
    size: float = 0.0
    seed: int = 0

    def __str__(self) -> str:
        """What the source is called where there is no config."""
        if self.kind == 'perturbed':
            return f'{self.error} {self.size:g}, seed {self.seed}'
        if self.file:
            return f'detections {Path(self.file).name}'
        return self.kind.replace('_', ' ')


def parse_box_source(source: str | Mapping[str, Any], where: str) -> BoxSource:
    """Read a source of boxes as a list or a command line has it.

    Args:
        source (str | mapping): ``'config'``, ``'ground_truth'``, a
            detections file (``.json``), ``'KIND:SIZE'`` or
            ``'KIND:SIZE:SEED'`` of an error, ``dict(detections=FILE,
            score_thr=0.05)`` or ``dict(perturbed=KIND, size=SIZE, seed=SEED,
            detections=FILE)``.
        where (str): Its place, for messages.

    Returns:
        BoxSource: The source.

    Raises:
        ConfigError: It is none of these.
    """
    if isinstance(source, Mapping):
        return _from_mapping(source, where)
    if source in KINDS[:2]:
        return BoxSource(source)
    if isinstance(source, str) and source.endswith('.json'):
        return BoxSource('detections', file=source)
    kind, *numbers = str(source).split(':')
    try:
        size, seed = float(numbers[0]), int((numbers[1:] or ['0'])[0])
    except (IndexError, ValueError):
        size, seed = None, 0
    if size is None or len(numbers) > 2:
        raise ConfigError(
            f'{where}: {source!r} is no source of boxes. Write config, '
            'ground_truth, the name of a detections file (.json), or an '
            f'error, its size and maybe a seed: {ERROR_KINDS[0]}:0.2:0'
        )
    return _perturbed(kind, size, seed, None, None, where)


def _from_mapping(source: Mapping[str, Any], where: str) -> BoxSource:
    if 'perturbed' in source:
        keys = ('perturbed', 'size', 'seed', 'detections', 'score_thr')
        check_keys(source, keys, where)
        return _perturbed(
            take(source, 'perturbed', str, where),
            take(source, 'size', float, where),
            take(source, 'seed', int, where, 0),
            take(source, 'detections', str, where, None),
            take(source, 'score_thr', float, where, None),
            where,
        )
    check_keys(source, ('detections', 'score_thr'), where)
    return BoxSource(
        'detections',
        file=take(source, 'detections', str, where),
        score_thr=take(source, 'score_thr', float, where, None),
    )


def _perturbed(
    error: str,
    size: float,
    seed: int,
    file: str | None,
    score_thr: float | None,
    where: str,
) -> BoxSource:
    if error not in ERROR_KINDS:
        raise ConfigError(
            f'{where}: unknown kind of box error {error!r}: choose from '
            f'{", ".join(ERROR_KINDS)}'
        )
    if not (math.isfinite(size) and size >= 0):
        raise ConfigError(f'{where}: a box error of size {size}')
    if (error == AMPLIFICATION) != (file is not None):
        raise ConfigError(
            f'{where}: detections are needed for {AMPLIFICATION} and only '
            'there: dict(perturbed: amplification, size: 2, detections: FILE)'
        )
    return BoxSource('perturbed', file, score_thr, error, size, seed)


def is_single_stage(cfg: Config) -> bool:
    """Tell whether a config's model needs no boxes of people.

    Args:
        cfg (Config): The config.

    Returns:
        bool: Whether the test's images, or groups of people, go in whole.
    """
    dataset = cfg.test_dataloader.dataset
    return dataset.get('data_mode', 'topdown') == 'bottomup'


def apply_box_source(
    cfg: Config, source: BoxSource, folder: Path, write: bool
) -> str:
    """Make a config's test use a source of boxes.

    Args:
        cfg (Config): Changed in place.
        source (BoxSource): The source.
        folder (Path): Where files of perturbed boxes are kept.
        write (bool): Whether to write such a file (one process does).

    Returns:
        str: What the source is called beside every number.

    Raises:
        ConfigError: The data set takes no detections, or a file is missing
            or malformed.
    """
    if is_single_stage(cfg):
        return GROUPS if _crops_groups(cfg) else SINGLE_STAGE
    dataset = cfg.test_dataloader.dataset
    if source.kind == 'config':
        file = dataset.get('bbox_file')
        return _detections_label(cfg, file) if file else GROUND_TRUTH
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
        check_detections(Path(source.file))
    if source.score_thr is not None:
        dataset.filter_cfg = {
            **(dataset.get('filter_cfg') or {}),
            'bbox_score_thr': source.score_thr,
        }
    if source.kind == 'detections':
        dataset.bbox_file = source.file
        return _detections_label(cfg, source.file)
    dataset.bbox_file = str(_perturbed_file(dataset, source, folder, write))
    if source.error == AMPLIFICATION:
        name = _detections_label(cfg, source.file)
        return f'{name}, errors x {source.size:g}'
    label = f'{GROUND_TRUTH}, {source.error} {source.size:g}'
    return f'{label}, seed {source.seed}'


def _crops_groups(cfg: Config) -> bool:
    """Whether the test is told where MPII's groups of people are."""
    for step in cfg.test_dataloader.dataset.get('pipeline') or ():
        kind = step['type']
        kind = TRANSFORMS.get(kind) if isinstance(kind, str) else kind
        if isinstance(kind, type) and issubclass(kind, GroupAffine):
            return True
    return False


def _detections_label(cfg: Config, file: str) -> str:
    filters = cfg.test_dataloader.dataset.get('filter_cfg') or {}
    return detections_name(file, filters.get('bbox_score_thr'))


def _perturbed_file(
    dataset: Mapping, source: BoxSource, folder: Path, write: bool
) -> Path:
    """The file of perturbed boxes, made anew: its making is quick."""
    ann_file = Path(dataset.get('data_root') or '') / dataset['ann_file']
    settings = sorted(
        f'{key}: {value}'
        for key, value in dataset.items()
        if key not in OTHER_SETTINGS
    )
    origin = f'{ann_file.resolve()} {source.file} {settings}'
    name = f'{ann_file.stem}-{source.error}-{source.size:g}-{source.seed}'
    path = folder / f'{name}-{digest(origin)}.json'
    if not write:
        return path
    people = read_people(dataset)
    detections = source.file and read_json(source.file)
    try:
        boxes = perturb_boxes(
            people, source.error, source.size, detections, source.seed
        )
    except (KeyError, TypeError) as error:
        raise ConfigError(
            f"{ann_file}: box errors need annotations in COCO's layout or "
            f"MPII's ({type(error).__name__}: {error})"
        ) from error
    return write_atomically(path, json.dumps(boxes))
