"""Batch normalisation folded into convolutions, and taken out again."""

from collections.abc import Iterator
from contextlib import contextmanager

from mmcv.cnn import fuse_conv_bn
from torch import nn


@contextmanager
def folded_norms(model: nn.Module) -> Iterator[None]:
    """Fold a model's batch normalisation into its convolutions for a while.

    It is mmcv's ``fuse_conv_bn``, which takes a normalisation for that of the
    convolution registered just before it in the same module. Afterwards the
    model has its own layers and weights again, the same objects.

    Args:
        model (nn.Module): In evaluation mode, where a normalisation is a
            fixed affine map of each channel.

    Yields:
        None: The context.
    """
    own = [
        (module, dict(module._modules), dict(module._parameters))
        for module in model.modules()
    ]
    try:
        fuse_conv_bn(model)
        yield
    finally:
        for module, layers, parameters in own:
            for kept, entries in (
                (module._modules, layers),
                (module._parameters, parameters),
            ):
                kept.clear()
                kept.update(entries)
