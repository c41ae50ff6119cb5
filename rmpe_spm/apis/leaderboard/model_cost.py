"""Parameters and operations of a model."""

import warnings

import torch
from mmengine.analysis import FlopAnalyzer
from torch import nn

# How a trace names an operation that is written in C++ or Python beside.
_CUSTOM = 'PythonOp.'


def count_parameters(model: nn.Module) -> int:
    """Number of a model's parameters, frozen ones too.

    Args:
        model (nn.Module): The model.

    Returns:
        int: The number.
    """
    return sum(parameter.numel() for parameter in model.parameters())


class _Forward(nn.Module):
    """The forward pass of an mmpose model, from inputs alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: torch.Tensor) -> object:
        return self.model(inputs, None, mode='tensor')


@torch.no_grad()
def count_gflops(
    model: nn.Module, input_size: tuple[int, int]
) -> tuple[float | None, list[str]]:
    """Operations of one forward pass, as mmengine's analysis counts them.

    A multiplication with its addition is one operation, as in mmpose's
    tables. There is no flip test and no decoding in it.

    Args:
        model (nn.Module): An mmpose estimator.
        input_size (tuple): Size (w, h) of the input in pixels.

    Returns:
        tuple[float | None, list[str]]: The number in units of 1e9, None for
        a model that cannot be traced; and the operations beyond PyTorch's
        (deformable convolutions) that are not in it.
    """
    model = getattr(model, 'module', model)
    w, h = input_size
    device = next(model.parameters()).device
    inputs = torch.zeros(1, 3, h, w, device=device)
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            analyzer = FlopAnalyzer(_Forward(model), inputs)
            analyzer.unsupported_ops_warnings(False)
            analyzer.uncalled_modules_warnings(False)
            total = analyzer.total() / 1e9
            names = analyzer.unsupported_ops()
            return total, sorted(
                name.rpartition('.')[2] for name in names if _CUSTOM in name
            )
    except (RuntimeError, TypeError, AttributeError, NotImplementedError):
        return None, []
    finally:
        for module in training:
            module.training = True
