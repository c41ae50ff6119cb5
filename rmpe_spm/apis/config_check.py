"""Parts of a config that have to agree with one another."""

from collections.abc import Iterator, Mapping

from mmengine.config import Config
from mmpose.registry import OPTIMIZERS

from ..structures.plain_settings import plain_setting
from .annotation_check import ConfigError

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
            if None not in (size, made) and plain_setting(
                size
            ) != plain_setting(made):
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
        if plain_setting(encoder[name]) != plain_setting(decoder[name]):
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
