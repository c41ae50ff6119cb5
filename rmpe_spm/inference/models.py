"""The models that ship with the package, by name."""

from dataclasses import dataclass
from typing import Any

from mmengine.config import Config
from mmpose.apis.inferencers.base_mmpose_inferencer import (
    BaseMMPoseInferencer,
)

from ..engine.shipped import (
    ALIASES,
    SCHEME,
    shipped_config,
    shipped_models,
    shipped_weights,
)
from ..errors import ConfigError

# by which people are found best, by F1, on pictures of train2017; in 3D on
# generated ones
_SCORE_THRS = {
    ALIASES['spm']: 0.15,
    ALIASES['spm-3d']: 0.03,
    ALIASES['rmpe']: 0.04,
    ALIASES['rmpe-fast']: 0.04,
}


@dataclass(frozen=True)
class ShippedModel:
    """How a shipped model predicts."""

    config: Config
    weights: str
    nms: dict[str, Any] | None
    score_thr: float

    @property
    def about(self) -> str:
        """A line that says what it is."""
        dataset = self.config.test_dataloader.dataset
        model = self.config.model
        if dataset.get('data_mode') == 'bottomup':
            return f'all people at once, {model.head.type}'
        sizes = [step.get('input_size') for step in dataset.pipeline]
        size = 'x'.join(str(n) for size in sizes if size for n in size)
        return f'a person a crop of {size}, {model.type}'


def find_model(name: str) -> ShippedModel:
    """Look up a shipped model by its name or alias, else a ConfigError."""
    try:
        weights = shipped_weights(name)
    except ConfigError as error:
        raise ConfigError(f'{error}; or give config and weights') from error
    config = shipped_config(name)
    nms = None
    if config.test_dataloader.dataset.get('data_mode') != 'bottomup':
        nms = dict(type='ParametricPoseNMS', preset='learned')
    score_thr = _SCORE_THRS.get(weights.stem, 0.0)
    shipped = ALIASES.get(name, name).removeprefix(SCHEME)
    return ShippedModel(config, SCHEME + shipped, nms, score_thr)


def describe_models() -> str:
    """Say in a line each which models ship, for ``rmpe-spm models``."""
    aliases = {model: alias for alias, model in ALIASES.items()}
    return '\n'.join(
        f'{aliases.get(name, ""):9} {name:28} {find_model(name).about}'
        for name in shipped_models()
    )


def _load_by_name(
    inferencer: BaseMMPoseInferencer, name: str
) -> tuple[Config, str]:
    """Give mmpose's inferencers what ships; the rest is mmpose's."""
    name = name.lower()
    if name not in {*ALIASES, *shipped_models()}:
        return _load_from_metafile(inferencer, name)
    shipped = find_model(name)
    dataset = shipped.config.test_dataloader.dataset
    # what mmpose looks for beside what a published config has
    shipped.config.merge_from_dict(
        dict(
            data_mode=dataset.data_mode,
            dataset_type=dataset.type,
            visualizer=dict(type='PoseLocalVisualizer'),
        )
    )
    return shipped.config, shipped.weights


_load_from_metafile = BaseMMPoseInferencer._load_model_from_metafile
BaseMMPoseInferencer._load_model_from_metafile = _load_by_name
