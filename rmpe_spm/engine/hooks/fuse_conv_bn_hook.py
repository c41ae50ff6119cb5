"""Batch normalisation of a test, folded into the convolutions before it."""

from contextlib import ExitStack

from mmengine.hooks import EMAHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmpose.registry import HOOKS

from ..folded_norms import folded_norms


@HOOKS.register_module()
class FuseConvBNHook(Hook):
    """Fold batch normalisation into convolutions for the time of a test.

    At test it is a fixed affine map of each channel, which the convolution in
    front of it can do for nothing: the predictions are the same but for
    rounding. Nothing is changed while training, nor in checkpoints, and after
    the test the model is as it was. On CPU a test of the light backbones in
    ``configs/*/generated`` takes about 0.8 of the time.

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
