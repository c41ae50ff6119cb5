"""Hooks: where boxes came from, and what makes networks faster on a CPU."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from mmcv.cnn import fuse_conv_bn
from mmengine.hooks import EMAHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmpose.registry import HOOKS, TRANSFORMS
from torch import nn

GROUND_TRUTH = 'ground truth'
SINGLE_STAGE = 'none (single stage)'
GROUPS = "group's place and scale (annotated)"


def detections_name(file: str, score_thr: float | None = None) -> str:
    """Name a file of detections, of which low scores may be left out."""
    chosen = '' if score_thr is None else f' (score >= {score_thr:g})'
    return f'detections {Path(file).name}{chosen}'


def box_source_name(dataset: Any) -> str:
    """Tell where the people's boxes of a built data set come from."""
    if hasattr(dataset, 'datasets'):
        names = dict.fromkeys(map(box_source_name, dataset.datasets))
        return ' and '.join(names)
    if hasattr(dataset, 'dataset'):
        return box_source_name(dataset.dataset)
    mode = getattr(dataset, 'data_mode', None)
    if mode is None:
        return f'unknown ({type(dataset).__name__} does not tell)'
    if mode == 'bottomup':
        crop = TRANSFORMS.get('GroupAffine')
        steps = dataset.pipeline.transforms
        groups = any(isinstance(step, crop) for step in steps)
        return GROUPS if groups else SINGLE_STAGE
    if not dataset.bbox_file:
        return GROUND_TRUTH
    filters = dataset.filter_cfg or {}
    return detections_name(dataset.bbox_file, filters.get('bbox_score_thr'))


@HOOKS.register_module()
class BoxSourceHook(Hook):
    """Say beside the metrics where the people's boxes came from.

    A top-down model's numbers on annotated and on detected boxes do not
    compare. Whatever evaluates, the metrics get an entry ``boxes``, such as
    ``'ground truth'``, ``'detections found.json (score >= 0.1)'`` or
    ``'none (single stage)'``: in the log of a test, in its JSON file, and in
    what the runner returns. After a validation it is a line of the log.
    """

    # before RuntimeInfoHook, which hands the metrics on to the log
    priority = 'HIGHEST'

    def after_val_epoch(
        self, runner: Runner, metrics: dict | None = None
    ) -> None:
        """Add the source, and log it, which the runner does for tests only."""
        if metrics is not None:
            metrics['boxes'] = box_source_name(runner.val_dataloader.dataset)
            runner.logger.info(f'boxes: {metrics["boxes"]}')

    def after_test_epoch(
        self, runner: Runner, metrics: dict | None = None
    ) -> None:
        """Add the source."""
        if metrics is not None:
            loader = runner.test_loop.dataloader
            metrics['boxes'] = box_source_name(loader.dataset)


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Keep the weights of all convolutions in ``torch.channels_last``.

    Convolutions then compute in that memory format, in which a CPU is
    faster, whatever their input's is. The values do not change.
    """

    priority = 'VERY_HIGH'

    def before_run(self, runner: Runner) -> None:
        """Convert the weights once, before anything runs."""
        runner.model.to(memory_format=torch.channels_last)


@contextmanager
def folded_norms(model: nn.Module) -> Iterator[None]:
    """Fold a model's batch normalisation into its convolutions for a while.

    It is mmcv's ``fuse_conv_bn``, for a model in evaluation mode. Afterwards
    the model has its own layers and weights again, the same objects.
    """
    own = [
        (entries, dict(entries))
        for module in model.modules()
        for entries in (module._modules, module._parameters)
    ]
    try:
        fuse_conv_bn(model)
        yield
    finally:
        for entries, before in own:
            entries.clear()
            entries.update(before)


@HOOKS.register_module()
class FuseConvBNHook(Hook):
    """Fold batch normalisation into convolutions for the time of a test.

    At test it is a fixed affine map of each channel, which the convolution in
    front of it can do for nothing: the predictions are the same but for
    rounding. Nothing is changed while training, nor in checkpoints, and after
    the test the model is as it was.

    It takes a normalisation for that of the convolution registered just
    before it in the same module, as mmpose's backbones and mmcv's
    ``ConvModule`` with its default order have them. Where a network
    normalises before it convolves, don't use it. Beside an ``EMAHook``, which
    exchanges the model's weights within the test, nothing is folded, and the
    log says so.
    """

    def __init__(self) -> None:
        self._folded = ExitStack()

    def before_test(self, runner: Runner) -> None:
        """Change the model, which has its weights by now."""
        if any(isinstance(hook, EMAHook) for hook in runner.hooks):
            runner.logger.warning(
                'FuseConvBNHook folds nothing beside an EMAHook'
            )
            return
        model = runner.model
        self._folded.enter_context(
            folded_norms(model.module if is_model_wrapper(model) else model)
        )

    def after_test(self, runner: Runner) -> None:
        """Give the model its own layers back."""
        self._folded.close()
