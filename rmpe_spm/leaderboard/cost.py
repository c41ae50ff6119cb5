"""Time and memory of a test, measured while it runs."""

import time
import warnings
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from mmengine.analysis import FlopAnalyzer
from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpose.structures import PoseDataSample
from torch import Tensor, nn

# How a trace names an operation that is written in C++ or Python beside.
_CUSTOM = 'PythonOp.'
PARTS = 5  # of a test, over which speed varies


def count_parameters(model: nn.Module) -> int:
    """Number of a model's parameters, frozen ones too."""
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
    """Count 1e9 operations of one forward pass, by mmengine's analysis.

    A multiplication with its addition is one. None for a model that cannot be
    traced; with it names of custom operations that are not counted.
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


def _rate(batches: Sequence[tuple[int, float]]) -> float:
    """Samples a second of batches; 0 where nothing was timed."""
    seconds = sum(time for _, time in batches)
    return sum(number for number, _ in batches) / seconds if seconds else 0.0


class SpeedMeter(Hook):
    """Measures a test of mmengine's runner; see :meth:`summary`.

    A batch's time is from the batch on the host to its poses. The first batch
    warms up and is not timed, unless it is the only one.
    """

    priority = 'LOWEST'  # the last before the model runs

    def before_test(self, runner: Runner) -> None:
        self.cuda = torch.cuda.is_available()
        self.batches: list[tuple[int, float]] = []
        self.image_ids: set = set()
        # (w, h) of what the model was given, of all scales of a multi-scale
        # test, in the order of the test
        self.input_sizes: dict[tuple[tuple[int, int], ...], None] = {}
        self._ended = 0.0
        model = getattr(runner.model, 'module', runner.model)
        self._watch = model.register_forward_hook(self._stop, with_kwargs=True)
        if self.cuda:
            torch.cuda.reset_peak_memory_stats()

    def before_test_iter(self, *args: Any, **kwargs: Any) -> None:
        self._started = self._clock()

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence[PoseDataSample] = (),
    ) -> None:
        self.batches.append((len(outputs), self._ended - self._started))
        self.image_ids.update(sample.img_id for sample in outputs)

    def after_test(self, runner: Runner) -> None:
        self._watch.remove()
        self.peak = None
        if self.cuda:
            self.peak = torch.cuda.max_memory_allocated() / 2**20

    def summary(self) -> dict[str, float | None]:
        """What was measured, over all processes; None where it is not known.

        The rates of processes add up; of a top-down model all people of an
        image count for its time. The spread is that of ``PARTS`` parts.
        """
        timed = self.batches[1:] or self.batches
        cuts = [len(timed) * part // PARTS for part in range(PARTS + 1)]
        parts = [timed[low:high] for low, high in pairwise(cuts)]
        gathered = all_gather_object(
            dict(
                rate=_rate(timed),
                rates=[_rate(part) for part in parts],
                samples=sum(number for number, _ in self.batches),
                images=self.image_ids,
                peak=self.peak,
            )
        )
        images = set().union(*(each['images'] for each in gathered))
        number = sum(each['samples'] for each in gathered)
        speed = spread = None
        if number:
            share = len(images) / number
            speed = share * sum(each['rate'] for each in gathered)
            rates = np.sum([each['rates'] for each in gathered], axis=0)
            if rates.all():
                spread = share * float(rates.std(ddof=1))
        peaks = [e['peak'] for e in gathered if e['peak'] is not None]
        return dict(
            images_per_second=speed,
            images_per_second_std=spread,
            peak_memory_mib=max(peaks, default=None),
        )

    def _stop(
        self, model: nn.Module, args: tuple, kwargs: dict, output: Any
    ) -> None:
        self._ended = self._clock()
        inputs = kwargs.get('inputs')
        if inputs is not None:
            # a batch, or a list with one for each scale of a multi-scale test
            batches = [inputs] if isinstance(inputs, Tensor) else inputs
            shapes = [tuple(batch.shape[-2:]) for batch in batches]
            self.input_sizes[tuple((w, h) for h, w in shapes)] = None

    def _clock(self) -> float:
        if self.cuda:
            torch.cuda.synchronize()
        return time.perf_counter()
