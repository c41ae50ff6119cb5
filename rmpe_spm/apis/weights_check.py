"""Whether a checkpoint is of the model that it is loaded into."""

import logging

from mmengine.logging import print_log
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn

from .annotation_check import ConfigError

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
