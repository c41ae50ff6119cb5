"""What a leaderboard is to hold: models, data sets and box sources."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..errors import ConfigError
from .box_sources import BoxSource, check_keys, parse_box_source, take

CONFIG_BOXES = (BoxSource('config'),)
GROUND_TRUTH = (BoxSource('ground_truth'),)


@dataclass(frozen=True)
class ModelSpec:
    """A model to evaluate.

    Attributes:
        name (str): Its name in the tables.
        config (str): The config file.
        checkpoint (str): The trained weights.
        cfg_options (dict): Settings that override the config, by dotted key.
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
        rank_by (str, optional): The metric that ranks on it. Defaults to
            None: that of the listing.
    """

    name: str
    dataset: dict[str, Any]
    evaluator: dict[str, Any]
    box_sources: tuple[BoxSource, ...]
    rank_by: str | None = None


@dataclass(frozen=True)
class Listing:
    """What to evaluate.

    Attributes:
        models (tuple): The models.
        data_sets (tuple): The data sets; empty stands for each config's own.
        box_sources (tuple): The sources of boxes on the configs' own data.
            Defaults to what each config uses.
        title (str): Heading of the tables. Defaults to 'Leaderboard'.
        work_dir (str, optional): Where results go. Defaults to None.
        rank_by (str): The metric that ranks. Defaults to 'AP'.
        pictures (bool): Whether the page shows example pictures. Defaults to
            True.
    """

    models: tuple[ModelSpec, ...]
    data_sets: tuple[DataSetSpec, ...] = ()
    box_sources: tuple[BoxSource, ...] = CONFIG_BOXES
    title: str = 'Leaderboard'
    work_dir: str | None = None
    rank_by: str = 'AP'
    pictures: bool = True


def read_listing(path: str | Path) -> Listing:
    """Read a YAML file; ``docs/leaderboard.md`` has its form.

    Args:
        path (str | Path): The file.

    Returns:
        Listing: What it lists.

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
    optional = ('title', 'work_dir', 'rank_by', 'pictures')
    optional += ('data_sets', 'box_sources')
    check_keys(content, ('models', *optional), str(path))
    models = take(content, 'models', list, str(path))
    if not models:
        raise ConfigError(f'{path}: models is empty')
    given = None
    if 'box_sources' in content:
        given = _box_sources(content, str(path))
    data_sets = take(content, 'data_sets', list, str(path), [])
    listing = Listing(
        models=tuple(
            _model(model, f'{path}: models[{index}]')
            for index, model in enumerate(models)
        ),
        data_sets=tuple(
            _data_set(each, f'{path}: data_sets[{index}]', given)
            for index, each in enumerate(data_sets)
        ),
        box_sources=given or CONFIG_BOXES,
        title=take(content, 'title', str, str(path), path.stem),
        work_dir=take(content, 'work_dir', str, str(path), None),
        rank_by=take(content, 'rank_by', str, str(path), 'AP'),
        pictures=take(content, 'pictures', bool, str(path), True),
    )
    for kind in ('models', 'data_sets'):
        names = [each.name for each in getattr(listing, kind)]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f'{path}: two {kind} are named {name!r}')
    return listing


def listing_of_pairs(
    paths: Sequence[str], box_sources: Sequence[str] | None
) -> Listing:
    """Make a listing of configs and checkpoints on a command line.

    Args:
        paths (sequence): Config, checkpoint, config, checkpoint...
        box_sources (sequence, optional): Sources of boxes as
            :func:`.parse_box_source` reads them. None stands for what each
            config uses.

    Returns:
        Listing: The models under the names of their configs.

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
    for index, (config, checkpoint) in enumerate(
        zip(paths[::2], paths[1::2], strict=True)
    ):
        name = names[index]
        if names.count(name) > 1:  # a config with several checkpoints
            name = f'{name} ({checkpoint})'
        models.append(ModelSpec(name, config, checkpoint))
    sources = tuple(
        parse_box_source(source, '--boxes') for source in box_sources or ()
    )
    return Listing(tuple(models), box_sources=sources or CONFIG_BOXES)


def _model(entry: Any, where: str) -> ModelSpec:
    check_keys(entry, ('name', 'config', 'checkpoint', 'cfg_options'), where)
    config = take(entry, 'config', str, where)
    return ModelSpec(
        name=take(entry, 'name', str, where, Path(config).stem),
        config=config,
        checkpoint=take(entry, 'checkpoint', str, where),
        cfg_options=take(entry, 'cfg_options', dict, where, {}),
    )


def _data_set(
    entry: Any, where: str, given: tuple[BoxSource, ...] | None
) -> DataSetSpec:
    optional = ('evaluator', 'box_sources', 'rank_by')
    check_keys(entry, ('name', 'dataset', *optional), where)
    dataset = take(entry, 'dataset', dict, where)
    if 'ann_file' not in dataset:
        raise ConfigError(f"{where}.dataset lacks 'ann_file'")
    sources = given or GROUND_TRUTH
    if 'box_sources' in entry:
        sources = _box_sources(entry, where)
    if BoxSource('config') in sources:
        raise ConfigError(
            f"{where}: the box source config goes with the configs' own data "
            'sets only: write ground_truth, or the detections of this data set'
        )
    return DataSetSpec(
        name=take(entry, 'name', str, where),
        dataset=dataset,
        evaluator=take(entry, 'evaluator', dict, where, {}),
        box_sources=sources,
        rank_by=take(entry, 'rank_by', str, where, None),
    )


def _box_sources(entry: Mapping, where: str) -> tuple[BoxSource, ...]:
    sources = take(entry, 'box_sources', list, where)
    if not sources:
        raise ConfigError(f'{where}: box_sources is empty')
    return tuple(
        parse_box_source(source, f'{where}: box_sources[{index}]')
        for index, source in enumerate(sources)
    )
