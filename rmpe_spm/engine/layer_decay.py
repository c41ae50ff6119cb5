"""Layer-wise learning rates with exceptions by name."""

from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmpose.engine.optim_wrappers import LayerDecayOptimWrapperConstructor
from torch import nn


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayLrMultConstructor(LayerDecayOptimWrapperConstructor):
    """mmpose's layer decay for ViT, with the ``lr_mult`` of ``custom_keys``.

    mmpose's constructor passes over ``custom_keys``. RMPE needs both: the
    decay for a ViT backbone, and a lower rate for localiser and theta. Of the
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
        """Add the groups of a module's parameters.

        Args:
            params (list[dict]): The groups so far; they are added here.
            module (nn.Module): The model.
            prefix (str): As in the parent class. Defaults to ''.
            lr (float, optional): As in the parent class. Defaults to None.
        """
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
                part = split.setdefault(
                    scale,
                    dict(
                        group,
                        params=[],
                        param_names=[],
                        lr=group['lr'] * scale,
                        lr_scale=group['lr_scale'] * scale,
                    ),
                )
                part['params'].append(parameter)
                part['param_names'].append(name)
            params.extend(split.values())
