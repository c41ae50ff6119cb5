"""Whether a checkpoint is of the model that it is to be tested with."""

from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from .annotation_check import ConfigError

# without these a test measures random numbers
PARTS = ('backbone.', 'neck.', 'head.')


def check_weights(model: nn.Module, path: str) -> None:
    """Load a checkpoint into a model, and refuse one of another model.

    Args:
        model (nn.Module): The model, which has the weights afterwards.
        path (str): The checkpoint, of any of mmengine's backends.

    Raises:
        ConfigError: The file holds no weights, or lacks weights of the
            model's backbone, neck or head, or has them in other shapes.
    """
    model = getattr(model, 'module', model)
    checkpoint = CheckpointLoader.load_checkpoint(path, map_location='cpu')
    state = checkpoint
    if isinstance(checkpoint, dict):
        state = checkpoint.get('state_dict', checkpoint)
    if not isinstance(state, dict):
        raise ConfigError(
            f'checkpoint {path} holds no weights by name, but a '
            f'{type(state).__name__}: give one that the runner has saved'
        )
    state = {key.removeprefix('module.'): v for key, v in state.items()}
    advice = 'is it of another model? Give the config that it was trained with'
    try:
        missing = model.load_state_dict(state, strict=False).missing_keys
    except RuntimeError as error:
        lines = str(error).splitlines()
        raise ConfigError(
            f'checkpoint {path} does not fit the model, {advice}. '
            f'{lines[min(1, len(lines) - 1)].strip()}'
        ) from error
    missing = [
        key
        for key in missing
        if key.startswith(PARTS) and not key.endswith('num_batches_tracked')
    ]
    if missing:
        raise ConfigError(
            f'checkpoint {path} lacks {len(missing)} of the '
            f'{len(model.state_dict())} weights of the model, '
            f'{missing[0]} the first: {advice}'
        )
