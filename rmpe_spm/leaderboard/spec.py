"""What a leaderboard is to hold: models, data sets and sources of boxes."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
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
        rank_by (str, optional): The metric that ranks on it.
    """

    name: str
    dataset: dict[str, Any]
    evaluator: dict[str, Any] = field(default_factory=dict)
    box_sources: tuple[BoxSource, ...] = ()
    rank_by: str | None = None


@dataclass(frozen=True)
class ResultsSpec:
    """A file of COCO keypoint results, whatever wrote it.

    Attributes:
        name (str): The model's name in the tables.
        results (str): The file.
        ann_file (str): The annotations to evaluate it on.
        boxes (str): Where the people's boxes came from.
        data_set (str): The table it stands in.
        metainfo (str): mmpose's file of the data set's keypoints and sigmas.
        iou_type, use_area: As of ``CocoMetric``.
    """

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
    """Published numbers, by their short names; ``source``: a link or a text.

    The rest is as of :class:`ResultsSpec`.
    """

    name: str
    metrics: dict[str, float]
    boxes: str
    data_set: str
    source: str


@dataclass(frozen=True)
class LeaderboardSpec:
    """What a leaderboard holds.

    Attributes:
        models (tuple): The models to evaluate.
        data_sets (tuple): The data sets; empty stands for each config's own.
        box_sources (tuple): The sources of boxes on the configs' own data.
        results (tuple): Files of results to evaluate.
        published (tuple): Published rows.
        title (str): Heading of the tables.
        work_dir (str, optional): Where results go.
        rank_by (str): The metric that ranks.
        pictures (bool): Whether the page shows example pictures.
    """

    models: tuple[ModelSpec, ...]
    data_sets: tuple[DataSetSpec, ...] = ()
    box_sources: tuple[BoxSource, ...] = CONFIG_BOXES
    results: tuple[ResultsSpec, ...] = ()
    published: tuple[PublishedSpec, ...] = ()
    title: str = 'Leaderboard'
    work_dir: str | None = None
    rank_by: str = 'AP'
    pictures: bool = True


def read_spec(path: str | Path) -> LeaderboardSpec:
    """Read a YAML file; ``docs/leaderboard.md`` has its form.

    Raises:
        ConfigError: The file is missing, empty or no YAML, a key is unknown,
            missing or there twice, or a value is of the wrong kind. Names
            the key.
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
    kinds = _kinds(LeaderboardSpec, models=(), title=path.stem)
    values = _fields(content, str(path), **kinds)
    given = _box_sources(values, str(path))
    values['box_sources'] = given or CONFIG_BOXES
    for kind, read in (
        ('models', _model),
        ('data_sets', partial(_data_set, given=given)),
        ('results', _results),
        ('published', _published),
    ):
        values[kind] = tuple(
            read(each, f'{path}: {kind}[{index}]')
            for index, each in enumerate(values[kind])
        )
    spec = LeaderboardSpec(**values)
    if not (spec.models or spec.results or spec.published):
        raise ConfigError(f'{path} lists no models, results or published rows')
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
    text = f'{source}:0' if str(source).count(':') == 1 else str(source)
    try:
        kind, size, seed = text.split(':')
        size, seed = float(size), int(seed)
    except ValueError:
        raise ConfigError(
            f'{where}: {source!r} is no source of boxes. Write config, '
            'ground_truth, the name of a detections file (.json), or an '
            f'error, its size and maybe a seed: {ERROR_KINDS[0]}:0.2:0'
        ) from None
    return _perturbed(where, error=kind, size=size, seed=seed)


def _box_source_of_keys(source: Mapping[str, Any], where: str) -> BoxSource:
    kinds = dict(detections=str, score_thr=(float, None))
    if 'perturbed' in source:
        kinds = dict(perturbed=str, size=float, seed=(int, 0), **kinds)
        kinds['detections'] = (str, None)
    values = _fields(source, where, **kinds)
    file = values.pop('detections')
    if 'perturbed' not in source:
        return BoxSource('detections', file, **values)
    error = values.pop('perturbed')
    return _perturbed(where, file=file, error=error, **values)


def _perturbed(where: str, **values: Any) -> BoxSource:
    """Perturbed boxes, if they can be made."""
    source = BoxSource('perturbed', **values)
    try:
        check_box_error(source.error, source.size, source.file is not None)
    except ValueError as error:
        raise ConfigError(f'{where}: {error}') from None
    return source


def _model(entry: Any, where: str) -> ModelSpec:
    values = _fields(entry, where, **_kinds(ModelSpec, name=None))
    values['name'] = values['name'] or Path(values['config']).stem
    return ModelSpec(**values)


def _data_set(
    entry: Any, where: str, given: tuple[BoxSource, ...] | None
) -> DataSetSpec:
    values = _fields(entry, where, **_kinds(DataSetSpec))
    if 'ann_file' not in values['dataset']:
        raise ConfigError(f"{where}.dataset lacks 'ann_file'")
    sources = (
        _box_sources(values, where) or given or (BoxSource('ground_truth'),)
    )
    if BoxSource('config') in sources:
        raise ConfigError(
            f"{where}: the box source config goes with the configs' own data "
            'sets only: write ground_truth, or the detections of this data set'
        )
    return DataSetSpec(**dict(values, box_sources=sources))


def _results(entry: Any, where: str) -> ResultsSpec:
    values = _fields(entry, where, **_kinds(ResultsSpec))
    values['data_set'] = values['data_set'] or Path(values['ann_file']).stem
    return ResultsSpec(**values)


def _published(entry: Any, where: str) -> PublishedSpec:
    values = _fields(entry, where, **_kinds(PublishedSpec))
    metrics = values['metrics']
    numbers = dict.fromkeys(metrics, float)
    values['metrics'] = _fields(metrics, f'{where}: metrics', **numbers)
    return PublishedSpec(**values)


def _box_sources(
    values: Mapping[str, Any], where: str
) -> tuple[BoxSource, ...] | None:
    """The sources that an entry lists; None if it says nothing of them."""
    sources = values['box_sources']
    if isinstance(sources, tuple):  # the default
        return None
    if not sources:
        raise ConfigError(f'{where}: box_sources is empty')
    return tuple(
        parse_box_source(source, f'{where}: box_sources[{index}]')
        for index, source in enumerate(sources)
    )


def _kinds(spec: type, **defaults: Any) -> dict[str, Any]:
    """What :func:`_fields` is told of a specification's fields."""
    kinds = {}
    for each in fields(spec):
        kind = get_origin(each.type) or each.type
        kind = get_args(each.type)[0] if kind is UnionType else kind
        kind = list if kind is tuple else kind
        default = defaults.get(each.name, each.default)
        if each.default_factory is not MISSING:
            default = each.default_factory()
        kinds[each.name] = kind if default is MISSING else (kind, default)
    return kinds


def _fields(entry: Any, where: str, **kinds: Any) -> dict[str, Any]:
    """Read what an entry gives for each key: a whole number is a float, too.

    ``kinds`` has each one's kind, and a default where it need not be there.
    """
    if not isinstance(entry, Mapping):
        raise ConfigError(
            f'{where} must have keys ({", ".join(kinds)}), but is {entry!r}'
        )
    for key in entry:
        if key not in kinds:
            like = difflib.get_close_matches(str(key), kinds, n=1)
            advice = f'did you mean {like[0]}' if like else 'the keys are '
            advice += '?' if like else ', '.join(kinds)
            raise ConfigError(f'{where}: unknown key {key!r}: {advice}')
    values = {}
    for key, kind in kinds.items():
        kind, *default = kind if isinstance(kind, tuple) else [kind]
        if key not in entry:
            if not default:
                raise ConfigError(f'{where} lacks {key!r}')
            values[key] = default[0]
            continue
        value = values[key] = entry[key]
        if kind is float and type(value) is int:
            values[key] = float(value)
        elif type(value) is not kind:
            raise ConfigError(
                f'{where}: {key} must be {_KIND_NAMES[kind]}, but is {value!r}'
            )
    return values


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
