"""What a leaderboard is to hold: models, data sets and sources of boxes."""

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..errors import ConfigError
from ..experiments.box_errors import AMPLIFICATION, ERROR_KINDS

_REQUIRED = object()
_KIND_NAMES = {
    str: 'text',
    int: 'a whole number',
    float: 'a number',
    bool: 'true or false',
    list: 'a list',
    dict: 'keys and values',
}


@dataclass(frozen=True)
class BoxSource:
    """One source of boxes.

    Attributes:
        kind (str): ``'config'``, what the config's own test uses;
            ``'ground_truth'``, the annotated boxes; ``'detections'``, a
            file; ``'perturbed'``, boxes with errors of one size.
        file (str, optional): The detections, COCO results; also those whose
            errors are amplified.
        score_thr (float, optional): Detections with a lower score are left
            out; None leaves it to the config.
        error (str, optional): Of perturbed boxes the kind of error.
        size (float): Its size.
        seed (int): The seed of its directions.
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


CONFIG_BOXES = (BoxSource('config'),)
GROUND_TRUTH_BOXES = (BoxSource('ground_truth'),)


@dataclass(frozen=True)
class ModelSpec:
    """A model to evaluate: its name in the tables, its files.

    ``cfg_options`` override the config, by dotted key.
    """

    name: str
    config: str
    checkpoint: str
    cfg_options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DataSetSpec:
    """A data set to evaluate on in place of the configs' own.

    Attributes:
        name (str): Its name in the tables.
        dataset (dict): Replaces these keys of ``test_dataloader.dataset``;
            pipeline and mode stay the model's.
        evaluator (dict): With a ``type`` it replaces the config's evaluator;
            without, these keys of it.
        box_sources (tuple): The sources of boxes on this data set.
        rank_by (str, optional): The metric that ranks on it; None: that of
            the leaderboard.
    """

    name: str
    dataset: dict[str, Any]
    evaluator: dict[str, Any]
    box_sources: tuple[BoxSource, ...]
    rank_by: str | None = None


@dataclass(frozen=True)
class LeaderboardSpec:
    """What to evaluate.

    Attributes:
        models (tuple): The models.
        data_sets (tuple): The data sets; empty stands for each config's own.
        box_sources (tuple): The sources of boxes on the configs' own data.
        title (str): Heading of the tables.
        work_dir (str, optional): Where results go.
        rank_by (str): The metric that ranks.
        pictures (bool): Whether the page shows example pictures.
    """

    models: tuple[ModelSpec, ...]
    data_sets: tuple[DataSetSpec, ...] = ()
    box_sources: tuple[BoxSource, ...] = CONFIG_BOXES
    title: str = 'Leaderboard'
    work_dir: str | None = None
    rank_by: str = 'AP'
    pictures: bool = True


def read_spec(path: str | Path) -> LeaderboardSpec:
    """Read a YAML file; ``docs/leaderboard.md`` has its form.

    Raises:
        ConfigError: The file is missing, empty or no YAML, a key is unknown
            or missing, or a value is of the wrong kind. Names the key.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f'the list {path} does not exist')
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f'{path} is no YAML: {error}') from None
    if not content:
        raise ConfigError(f'{path} is empty: it needs a list of models')
    keys = ('models', 'title', 'work_dir', 'rank_by', 'pictures')
    where = str(path)
    _check_keys(content, (*keys, 'data_sets', 'box_sources'), where)
    models = _take(content, 'models', list, where)
    if not models:
        raise ConfigError(f'{path}: models is empty')
    given = None
    if 'box_sources' in content:
        given = _box_sources(content, where)
    data_sets = _take(content, 'data_sets', list, where, [])
    spec = LeaderboardSpec(
        models=tuple(
            _model(model, f'{path}: models[{index}]')
            for index, model in enumerate(models)
        ),
        data_sets=tuple(
            _data_set(each, f'{path}: data_sets[{index}]', given)
            for index, each in enumerate(data_sets)
        ),
        box_sources=given or CONFIG_BOXES,
        title=_take(content, 'title', str, where, path.stem),
        work_dir=_take(content, 'work_dir', str, where, None),
        rank_by=_take(content, 'rank_by', str, where, 'AP'),
        pictures=_take(content, 'pictures', bool, where, True),
    )
    for kind in ('models', 'data_sets'):
        names = [each.name for each in getattr(spec, kind)]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f'{path}: two {kind} are named {name!r}')
    return spec


def spec_of_pairs(
    paths: Sequence[str], box_sources: Sequence[str] | None
) -> LeaderboardSpec:
    """Describe a leaderboard of configs and checkpoints on a command line.

    ``paths`` are config, checkpoint, config, checkpoint...; the models have
    the names of their configs. ``box_sources`` are read by
    :func:`parse_box_source`; None stands for what each config uses.

    Raises:
        ConfigError: A config has no checkpoint, or a source is none.
    """
    if not paths or len(paths) % 2:
        raise ConfigError(
            'give a list (.yaml), or configs each with its checkpoint: '
            'CONFIG CHECKPOINT [CONFIG CHECKPOINT ...]'
        )
    names = [Path(config).stem for config in paths[::2]]
    models = []
    for name, config, checkpoint in zip(
        names, paths[::2], paths[1::2], strict=True
    ):
        if names.count(name) > 1:  # a config with several checkpoints
            name = f'{name} ({checkpoint})'
        models.append(ModelSpec(name, config, checkpoint))
    sources = tuple(
        parse_box_source(source, '--boxes') for source in box_sources or ()
    )
    return LeaderboardSpec(tuple(models), box_sources=sources or CONFIG_BOXES)


def parse_box_source(source: str | Mapping[str, Any], where: str) -> BoxSource:
    """Read a source of boxes as a list or a command line has it.

    Args:
        source (str | mapping): ``'config'``, ``'ground_truth'``, a
            detections file (``.json``), ``'KIND:SIZE'`` or
            ``'KIND:SIZE:SEED'`` of an error, ``dict(detections=FILE,
            score_thr=0.05)`` or ``dict(perturbed=KIND, size=SIZE, seed=SEED,
            detections=FILE)``.
        where (str): Its place, for messages.

    Raises:
        ConfigError: It is none of these.
    """
    if isinstance(source, Mapping):
        return _box_source_of_keys(source, where)
    if source in ('config', 'ground_truth'):
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
    source = BoxSource('perturbed', error=kind, size=size, seed=seed)
    return _checked(source, where)


def _box_source_of_keys(source: Mapping[str, Any], where: str) -> BoxSource:
    threshold = ('score_thr', float, where, None)
    if 'perturbed' not in source:
        _check_keys(source, ('detections', 'score_thr'), where)
        return BoxSource(
            'detections',
            file=_take(source, 'detections', str, where),
            score_thr=_take(source, *threshold),
        )
    keys = ('perturbed', 'size', 'seed', 'detections', 'score_thr')
    _check_keys(source, keys, where)
    return _checked(
        BoxSource(
            'perturbed',
            error=_take(source, 'perturbed', str, where),
            size=_take(source, 'size', float, where),
            seed=_take(source, 'seed', int, where, 0),
            file=_take(source, 'detections', str, where, None),
            score_thr=_take(source, *threshold),
        ),
        where,
    )


def _checked(source: BoxSource, where: str) -> BoxSource:
    """Refuse perturbed boxes that cannot be made."""
    if source.error not in ERROR_KINDS:
        raise ConfigError(
            f'{where}: unknown kind of box error {source.error!r}: choose '
            f'from {", ".join(ERROR_KINDS)}'
        )
    if not (math.isfinite(source.size) and source.size >= 0):
        raise ConfigError(f'{where}: a box error of size {source.size}')
    if (source.error == AMPLIFICATION) != (source.file is not None):
        raise ConfigError(
            f'{where}: detections are needed for {AMPLIFICATION} and only '
            'there: dict(perturbed: amplification, size: 2, detections: FILE)'
        )
    return source


def _model(entry: Any, where: str) -> ModelSpec:
    _check_keys(entry, ('name', 'config', 'checkpoint', 'cfg_options'), where)
    config = _take(entry, 'config', str, where)
    return ModelSpec(
        name=_take(entry, 'name', str, where, Path(config).stem),
        config=config,
        checkpoint=_take(entry, 'checkpoint', str, where),
        cfg_options=_take(entry, 'cfg_options', dict, where, {}),
    )


def _data_set(
    entry: Any, where: str, given: tuple[BoxSource, ...] | None
) -> DataSetSpec:
    optional = ('evaluator', 'box_sources', 'rank_by')
    _check_keys(entry, ('name', 'dataset', *optional), where)
    dataset = _take(entry, 'dataset', dict, where)
    if 'ann_file' not in dataset:
        raise ConfigError(f"{where}.dataset lacks 'ann_file'")
    sources = given or GROUND_TRUTH_BOXES
    if 'box_sources' in entry:
        sources = _box_sources(entry, where)
    if BoxSource('config') in sources:
        raise ConfigError(
            f"{where}: the box source config goes with the configs' own data "
            'sets only: write ground_truth, or the detections of this data set'
        )
    return DataSetSpec(
        name=_take(entry, 'name', str, where),
        dataset=dataset,
        evaluator=_take(entry, 'evaluator', dict, where, {}),
        box_sources=sources,
        rank_by=_take(entry, 'rank_by', str, where, None),
    )


def _box_sources(entry: Mapping, where: str) -> tuple[BoxSource, ...]:
    sources = _take(entry, 'box_sources', list, where)
    if not sources:
        raise ConfigError(f'{where}: box_sources is empty')
    return tuple(
        parse_box_source(source, f'{where}: box_sources[{index}]')
        for index, source in enumerate(sources)
    )


def _check_keys(entry: Any, allowed: Iterable[str], where: str) -> None:
    """Refuse what is no mapping, and keys that nothing uses."""
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


def _take(
    entry: Mapping[str, Any],
    key: str,
    kind: type,
    where: str,
    default: Any = _REQUIRED,
) -> Any:
    """Return a value of the kind that it must be; a whole float for a number.

    Without a default the key is required.
    """
    if key not in entry:
        if default is _REQUIRED:
            raise ConfigError(f'{where} lacks {key!r}')
        return default
    value = entry[key]
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ConfigError(
            f'{where}: {key} must be {_KIND_NAMES[kind]}, but is {value!r}'
        )
    return value
