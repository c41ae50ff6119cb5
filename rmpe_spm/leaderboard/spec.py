"""What a leaderboard is to hold: models, data sets and sources of boxes."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

import yaml

from ..errors import ConfigError
from ..experiments.box_errors import ERROR_KINDS, check_box_error

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

    ``kind`` is ``'config'``, what the config's own test uses;
    ``'ground_truth'``; ``'detections'``, a file of COCO results; or
    ``'perturbed'``, boxes with an ``error`` of one ``size``.
    """

    kind: str
    file: str | None = None  # also the detections whose errors are amplified
    score_thr: float | None = None  # None: the config's own
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


@dataclass(frozen=True)
class ModelSpec:
    """A model to evaluate; ``cfg_options`` override its config."""

    name: str
    config: str
    checkpoint: str
    cfg_options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DataSetSpec:
    """A data set in place of the configs' own; pipeline and mode stay.

    ``dataset`` replaces keys of ``test_dataloader.dataset``, ``evaluator`` the
    config's evaluator if it has a ``type``, else keys of it.
    """

    name: str
    dataset: dict[str, Any]
    evaluator: dict[str, Any] = field(default_factory=dict)
    box_sources: tuple[BoxSource, ...] = ()
    rank_by: str | None = None


@dataclass(frozen=True)
class ResultsSpec:
    """A file of COCO keypoint results, whatever wrote it."""

    name: str
    results: str
    ann_file: str
    boxes: str
    data_set: str = ''
    metainfo: str = 'configs/_base_/datasets/coco.py'
    iou_type: str = 'keypoints'
    use_area: bool = True


@dataclass(frozen=True)
class PublishedSpec:
    """Published numbers by their short names; the source: a link or a text."""

    name: str
    metrics: dict[str, float]
    boxes: str
    data_set: str
    source: str


@dataclass(frozen=True)
class LeaderboardSpec:
    """What a leaderboard holds, as ``docs/leaderboard.md`` describes it."""

    models: tuple[ModelSpec, ...] = ()
    data_sets: tuple[DataSetSpec, ...] = ()
    box_sources: tuple[BoxSource, ...] = CONFIG_BOXES
    results: tuple[ResultsSpec, ...] = ()
    published: tuple[PublishedSpec, ...] = ()
    title: str = 'Leaderboard'
    work_dir: str | None = None
    rank_by: str = 'AP'
    pictures: bool = True


def read_spec(path: str | Path) -> LeaderboardSpec:
    """Read a YAML file of the form in ``docs/leaderboard.md``.

    Raises:
        ConfigError: Something in it is wrong. Names the key.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f'the list {path} does not exist')
    try:
        content = yaml.load(path.read_text(encoding='utf-8'), _UniqueKeys)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f'{path} is no YAML: {error}') from None
    if not content:
        raise ConfigError(f'{path} is empty: it needs a list of models')
    spec = _read(LeaderboardSpec, content, str(path), title=path.stem)
    given = _box_sources(content, str(path))
    lists = {
        name: tuple(
            read(entry, f'{path}: {name}[{index}]')
            for index, entry in enumerate(getattr(spec, name))
        )
        for name, read in (
            ('models', _model),
            ('data_sets', partial(_data_set, given=given)),
            ('results', _results),
            ('published', partial(_read, PublishedSpec)),
        )
    }
    if not (lists['models'] or lists['results'] or lists['published']):
        raise ConfigError(f'{path} lists no models, results or published rows')
    for kind in ('models', 'data_sets'):
        names = [each.name for each in lists[kind]]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f'{path}: two {kind} are named {name!r}')
    return replace(spec, **lists, box_sources=given or CONFIG_BOXES)


def spec_of_pairs(
    paths: Sequence[str], box_sources: Sequence[str] | None
) -> LeaderboardSpec:
    """Describe a leaderboard of config, checkpoint, config, checkpoint...

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
    for name, *files in zip(names, paths[::2], paths[1::2], strict=True):
        if names.count(name) > 1:  # a config with several checkpoints
            name = f'{name} ({files[1]})'
        models.append(ModelSpec(name, *files))
    sources = tuple(
        parse_box_source(source, '--boxes') for source in box_sources or ()
    )
    return LeaderboardSpec(tuple(models), box_sources=sources or CONFIG_BOXES)


def parse_box_source(source: str | Mapping[str, Any], where: str) -> BoxSource:
    """Read a source of boxes as a list or a command line has it.

    ``'config'``, ``'ground_truth'``, a detections file (``.json``), an error
    ``'KIND:SIZE'`` or ``'KIND:SIZE:SEED'``, or keys of :class:`_Detections` or
    :class:`_Perturbed`; anything else is a ConfigError.
    """
    if isinstance(source, Mapping):
        keys = _Perturbed if 'perturbed' in source else _Detections
        return _read(keys, source, where).source(where)
    if source in ('config', 'ground_truth'):
        return BoxSource(source)
    if isinstance(source, str) and source.endswith('.json'):
        return BoxSource('detections', file=source)
    text = f'{source}:0' if str(source).count(':') == 1 else str(source)
    try:
        kind, size, seed = text.split(':')
        given = _Perturbed(kind, float(size), int(seed))
    except ValueError:
        raise ConfigError(
            f'{where}: {source!r} is no source of boxes. Write config, '
            'ground_truth, the name of a detections file (.json), or an '
            f'error, its size and maybe a seed: {ERROR_KINDS[0]}:0.2:0'
        ) from None
    return given.source(where)


@dataclass
class _Detections:
    """The keys of a file of detections."""

    detections: str
    score_thr: float | None = None

    def source(self, where: str) -> BoxSource:
        return BoxSource('detections', self.detections, self.score_thr)


@dataclass
class _Perturbed:
    """The keys of boxes with errors."""

    perturbed: str
    size: float
    seed: int = 0
    detections: str | None = None
    score_thr: float | None = None

    def source(self, where: str) -> BoxSource:
        file, how = self.detections, (self.perturbed, self.size)
        try:
            check_box_error(*how, file is not None)
        except ValueError as error:
            raise ConfigError(f'{where}: {error}') from None
        return BoxSource('perturbed', file, self.score_thr, *how, self.seed)


def _box_sources(
    entry: Mapping[str, Any], where: str
) -> tuple[BoxSource, ...]:
    """The sources that an entry lists, none if it says nothing of them."""
    if 'box_sources' not in entry:
        return ()
    if not entry['box_sources']:
        raise ConfigError(f'{where}: box_sources is empty')
    return tuple(
        parse_box_source(source, f'{where}: box_sources[{index}]')
        for index, source in enumerate(entry['box_sources'])
    )


def _model(entry: Any, where: str) -> ModelSpec:
    spec = _read(ModelSpec, entry, where, name='')
    return replace(spec, name=spec.name or Path(spec.config).stem)


def _results(entry: Any, where: str) -> ResultsSpec:
    spec = _read(ResultsSpec, entry, where)
    return replace(spec, data_set=spec.data_set or Path(spec.ann_file).stem)


def _data_set(
    entry: Any, where: str, given: tuple[BoxSource, ...]
) -> DataSetSpec:
    spec = _read(DataSetSpec, entry, where)
    if 'ann_file' not in spec.dataset:
        raise ConfigError(f"{where}.dataset lacks 'ann_file'")
    sources = (
        _box_sources(entry, where) or given or (BoxSource('ground_truth'),)
    )
    if CONFIG_BOXES[0] in sources:
        raise ConfigError(
            f"{where}: the box source config goes with the configs' own data "
            'sets only: write ground_truth, or the detections of this data set'
        )
    return replace(spec, box_sources=sources)


def _read(kind: type, entry: Any, where: str, **defaults: Any) -> Any:
    """Build a specification from the keys of an entry, after a check."""
    known = {each.name: each for each in fields(kind)}
    if not isinstance(entry, Mapping):
        raise ConfigError(
            f'{where} must have keys ({", ".join(known)}), but is {entry!r}'
        )
    for key in entry:
        if key not in known:
            raise ConfigError(
                f'{where}: unknown key {key!r}: the keys are '
                f'{", ".join(known)}'
            )
    values = dict(defaults)
    for name, each in known.items():
        if name in entry:
            values[name] = _value(entry[name], each.type, where, name)
        elif (
            name not in defaults
            and each.default is each.default_factory is MISSING
        ):
            raise ConfigError(f'{where} lacks {name!r}')
    return kind(**values)


def _value(value: Any, kind: Any, where: str, key: str) -> Any:
    """A value of the kind that a field has; a whole number is a float, too."""
    parts = get_args(kind)
    kind = (
        parts[0] if isinstance(kind, UnionType) else get_origin(kind) or kind
    )
    kind = list if kind is tuple else kind
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ConfigError(
            f'{where}: {key} must be {_KIND_NAMES[kind]}, but is {value!r}'
        )
    if parts[1:] == (float,):
        return {
            k: _value(v, float, f'{where}: {key}', k) for k, v in value.items()
        }
    return value


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which no key stands twice; of two the last would count."""

    def construct_mapping(
        self, node: yaml.MappingNode, deep: bool = False
    ) -> dict:
        names = [key.value for key, _ in node.value]
        for key, _ in node.value:
            if names.count(key.value) > 1:
                raise yaml.constructor.ConstructorError(
                    problem=f'the key {key.value!r} stands twice',
                    problem_mark=key.start_mark,
                )
        return super().construct_mapping(node, deep)
