"""Mixed precision without a loss scale, on a CPU as on a GPU."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Computes the loss in bfloat16 where PyTorch's autocast holds it safe.

    bfloat16 has the range of float32, so that gradients need no scale. The
    weights and the optimiser's state stay float32. mmengine's
    ``AmpOptimWrapper`` refuses a machine without a GPU; this one also trains
    on a CPU, faster where the CPU computes bfloat16 itself.

    Example:
        >>> optim_wrapper = dict(
        ...     type='BFloat16OptimWrapper',
        ...     optimizer=dict(type='AdamW', lr=1e-4),
        ... )
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run the forward pass of a training step.

        Args:
            model (nn.Module): The model; its device is the one of autocast.
        """
        device = next(model.parameters()).device.type
        with (
            super().optim_context(model),
            torch.autocast(device, torch.bfloat16),
        ):
            yield
