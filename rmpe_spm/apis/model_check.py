"""Whether a model, its codec and the data fit, before a run starts."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from .annotation_check import ConfigError


@torch.no_grad()
def check_model(model: nn.Module, num_keypoints: int | None) -> None:
    """Check a built model against its codec and the data.

    One image of zeros goes through the backbone and the head.

    Args:
        model (nn.Module): An mmpose estimator.
        num_keypoints (int | None): Keypoints of the data, None if unknown.

    Raises:
        ConfigError: The backbone cannot take the codec's input size, the
            head's maps or keypoints are not the codec's or the data's, or
            RMPE's transformer does not take its localiser's features.
    """
    model = getattr(model, 'module', model)
    head = model.head if getattr(model, 'with_head', False) else None
    codec = getattr(head, 'decoder', None)
    size = getattr(codec, 'input_size', None)
    declared = _head_keypoints(head)
    if None not in (declared, num_keypoints) and declared != num_keypoints:
        raise ConfigError(
            f"model.head predicts {declared} keypoints, but the data's "
            f'skeleton has {num_keypoints}: change the head, or the dataset '
            'type (or metainfo)'
        )
    if size is None or len(size) != 2:
        return
    w, h = map(int, size)
    where = (
        f'model.backbone ({type(model.backbone).__name__}) and the input '
        f'size {w}x{h} (width x height) of the codec'
    )
    image = torch.zeros(1, 3, h, w, device=next(model.parameters()).device)
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        maps = head(model.extract_feat(image))
        _check_localizer(model, image)
    except ConfigError:
        raise
    except (NotImplementedError, TypeError, AttributeError):
        return  # a model that does not predict from an image alone
    except (RuntimeError, ValueError) as error:
        raise ConfigError(
            f'{where} do not go together: {str(error).splitlines()[0]}. Most '
            'backbones need a multiple of 32 (codec.input_size)'
        ) from error
    finally:
        for module in training:
            module.training = True
    expected = getattr(codec, 'heatmap_size', None)
    if expected is None:
        return
    expected = tuple(map(int, expected))
    for got in _map_sizes(maps):
        if got != expected:
            raise ConfigError(
                f'{where} give maps of {got[0]}x{got[1]} cells, but the '
                f'codec expects heatmap_size={expected}: change it, or the '
                "head's deconvolutions"
            )


def _check_localizer(model: nn.Module, image: Tensor) -> None:
    """Check that RMPE's localiser and transformer fit, if it has them."""
    if not hasattr(model, 'regress_theta'):
        return
    try:
        model.regress_theta(image)
    except RuntimeError as error:
        raise ConfigError(
            'model.localizer and model.sstn do not go together: '
            f'{str(error).splitlines()[0]}. model.sstn.in_channels are those '
            "of the localiser's last map"
        ) from error


def _head_keypoints(head: nn.Module | None) -> int | None:
    """Return the keypoints that a head predicts, None if it does not tell."""
    for name in ('num_keypoints', 'num_joints'):
        if isinstance(getattr(head, name, None), int):
            return getattr(head, name)
    # Heads that have nothing but keypoint channels.
    if type(head).__name__ not in ('HeatmapHead', 'SimCCHead', 'RTMCCHead'):
        return None
    # UDP's combined form has a heatmap and two offset maps a keypoint.
    codec = getattr(head, 'decoder', None)
    combined = getattr(codec, 'heatmap_type', None) == 'combined'
    return head.out_channels // 3 if combined else head.out_channels


def _map_sizes(outputs: object) -> Iterator[tuple[int, int]]:
    """Yield the sizes (w, h) of the maps among a head's outputs."""
    if isinstance(outputs, torch.Tensor):
        if outputs.ndim == 4:
            yield tuple(outputs.shape[:1:-1])
    elif isinstance(outputs, list | tuple):
        for output in outputs:
            yield from _map_sizes(output)
