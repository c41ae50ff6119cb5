"""Batch normalisation of a test, folded into the convolutions before it."""

from mmcv.cnn import fuse_conv_bn
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmpose.registry import HOOKS


@HOOKS.register_module()
class FuseConvBNHook(Hook):
    """Fold batch normalisation into convolutions before a test.

    At test it is a fixed affine map of each channel, which the convolution in
    front of it can do for nothing: the predictions are the same but for
    rounding. Nothing is changed while training, nor in checkpoints. On CPU a
    test of the light backbones in ``configs/*/generated`` takes about 0.8 of
    the time.

    It is mmcv's ``fuse_conv_bn``, which takes a normalisation for that of the
    convolution registered just before it in the same module, as mmpose's
    backbones and mmcv's ``ConvModule`` with its default order have them. Where
    a network normalises before it convolves, don't use it.
    """

    def before_test(self, runner: Runner) -> None:
        """Change the model, which has its weights by now."""
        model = runner.model
        fuse_conv_bn(model.module if is_model_wrapper(model) else model)
