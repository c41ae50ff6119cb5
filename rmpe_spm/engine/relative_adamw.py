"""AdamW for weights of many sizes, as batch norms folded into them make."""

from collections.abc import Callable
from typing import Any

import torch
from mmengine.registry import OPTIMIZERS
from torch import Tensor


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
