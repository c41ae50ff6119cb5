"""How weights are changed: precision, rates by name, relative steps."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import (
    OPTIM_WRAPPER_CONSTRUCTORS,
    OPTIM_WRAPPERS,
    OPTIMIZERS,
)
from mmpose.engine.optim_wrappers import LayerDecayOptimWrapperConstructor
from torch import Tensor, nn


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
        """Run the forward pass of a training step on the model's device."""
        device = next(model.parameters()).device.type
        with (
            super().optim_context(model),
            torch.autocast(device, torch.bfloat16),
        ):
            yield


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayLrMultConstructor(LayerDecayOptimWrapperConstructor):
    """mmpose's layer decay for ViT, with the ``lr_mult`` of ``custom_keys``.

    mmpose's constructor passes over ``custom_keys``. RMPE needs both: the
    decay for a ViT backbone, and a lower rate for localizer and theta. Of the
    keys with an ``lr_mult`` the longest that is part of a parameter's name
    counts; what else the keys say has no effect, as in mmpose.
    """

    def add_params(
        self,
        params: list[dict],
        module: nn.Module,
        prefix: str = '',
        lr: float | None = None,
    ) -> None:
        """Add the groups of a module's parameters to ``params``."""
        groups: list[dict] = []
        super().add_params(groups, module, prefix, lr)
        rates = {
            key: setting['lr_mult']
            for key, setting in self.paramwise_cfg['custom_keys'].items()
            if 'lr_mult' in setting
        }
        keys = sorted(rates, key=len, reverse=True)
        for group in groups:
            split: dict[float, dict] = {}
            members = zip(group['params'], group['param_names'], strict=True)
            for parameter, name in members:
                scale = next((rates[k] for k in keys if k in name), 1.0)
                scaled = {k: group[k] * scale for k in ('lr', 'lr_scale')}
                fresh = {**group, **scaled, 'params': [], 'param_names': []}
                part = split.setdefault(scale, fresh)
                part['params'].append(parameter)
                part['param_names'].append(name)
            params.extend(split.values())


@OPTIMIZERS.register_module()
class RelativeAdamW(torch.optim.AdamW):
    r"""AdamW whose steps are shares of the weights that they change.

    Adam moves each weight by about the learning rate, whatever its size. A
    network whose normalisation is folded into its convolutions has channels
    with weights of 0.01 beside those of 10: a rate that suits the ones breaks
    or freezes the others. Here the step of Adam, delta, becomes

    .. math::
        w_c \leftarrow w_c + \max(\mathrm{rms}(w_c), \epsilon) \, \delta_c

    for each output channel c of a weight, and for a bias as a whole, so that
    a learning rate of 0.001 changes a channel by about 0.1% a step.

    Args:
        params (Iterable): As for ``torch.optim.AdamW``.
        lr (float): Learning rate, as a share. Defaults to 1e-3.
        smallest (float): Epsilon, the size that smaller weights count as.
            Defaults to 1e-3.
        **kwargs (Any): Other arguments of ``torch.optim.AdamW``.

    Example:
        >>> import torch
        >>> from rmpe_spm import RelativeAdamW
        >>> weight = torch.nn.Parameter(torch.tensor([[8.0], [0.5]]))
        >>> optimizer = RelativeAdamW([weight], lr=0.25, weight_decay=0)
        >>> weight.sum().backward()
        >>> optimizer.step()
        >>> weight.tolist()
        [[6.0], [0.375]]
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        smallest: float = 1e-3,
        **kwargs: Any,
    ) -> None:
        super().__init__(params, lr=lr, **kwargs)
        self.smallest = smallest

    @torch.no_grad()
    def step(self, closure: Callable | None = None) -> Tensor | None:
        """Change the weights once; see ``torch.optim.AdamW``."""
        weights = [
            weight
            for group in self.param_groups
            for weight in group['params']
            if weight.grad is not None
        ]
        before = [weight.clone() for weight in weights]
        loss = super().step(closure)
        for weight, old in zip(weights, before, strict=True):
            dims = tuple(range(min(weight.dim() - 1, 1), weight.dim()))
            size = old.square().mean(dims, keepdim=True).sqrt()
            weight.sub_(old).mul_(size.clamp(min=self.smallest)).add_(old)
        return loss
