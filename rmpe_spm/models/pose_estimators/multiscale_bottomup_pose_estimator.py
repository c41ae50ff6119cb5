"""A bottom-up pose estimator whose multi-scale test works."""

from mmpose.models.pose_estimators import BottomupPoseEstimator
from mmpose.registry import MODELS
from mmpose.utils.typing import ForwardResults, OptSampleList, SampleList
from torch import Tensor


@MODELS.register_module()
class MultiscaleBottomupPoseEstimator(BottomupPoseEstimator):
    """:class:`BottomupPoseEstimator` for images in several sizes at test.

    mmpose's multi-scale test stops where images of unequal size are stacked.
    This one takes what
    :class:`~rmpe_spm.datasets.transforms.PackMultiscalePoseInputs` packs,
    one tensor for each scale, and runs the scales one after the other. It
    needs ``multiscale_test=True`` in ``test_cfg`` and in the test pipeline
    ``MultiscaleBottomupResize`` with ``aug_scales``. Without
    ``multiscale_test`` it is its parent.

    With more than one image a batch, all must have the same size at each
    scale (``resize_mode='fit'``).
    """

    def test_step(self, data: dict) -> SampleList:
        """Predict from a batch of the data loader.

        Args:
            data (dict): ``inputs``, for each scale a list of the images'
                tensors (C, H, W), and ``data_samples``.

        Returns:
            list[PoseDataSample]: The samples with ``pred_instances``.

        Raises:
            ValueError: If the inputs come in a single scale with
                ``multiscale_test``, or in several without.
        """
        pyramid, samples = data['inputs'], data['data_samples']
        several = all(isinstance(images, (list, tuple)) for images in pyramid)
        if not self.test_cfg.get('multiscale_test', False):
            if several:
                raise ValueError(
                    'MultiscaleBottomupPoseEstimator: the test pipeline makes '
                    f'images in {len(pyramid)} scales, but '
                    'test_cfg.multiscale_test is off; set it, or take '
                    '`aug_scales` out of the pipeline'
                )
            return super().test_step(data)
        if not several:
            raise ValueError(
                'MultiscaleBottomupPoseEstimator: multiscale_test needs '
                'images in several scales; put MultiscaleBottomupResize with '
                '`aug_scales` and PackMultiscalePoseInputs in the test '
                'pipeline'
            )
        inputs = []
        # the base scale comes last here: its size stays in the samples
        for images in reversed(pyramid):
            scale = self.data_preprocessor(
                dict(inputs=list(images), data_samples=samples)
            )
            inputs.insert(0, scale['inputs'])
        return self(
            inputs=inputs, data_samples=scale['data_samples'], mode='predict'
        )

    val_step = test_step

    def forward(
        self,
        inputs: Tensor | list[Tensor],
        data_samples: OptSampleList,
        mode: str = 'tensor',
    ) -> ForwardResults:
        """Compute what ``mode`` asks for, as all estimators of mmpose.

        Args:
            inputs (Tensor | list[Tensor]): Images (B, C, H, W), or with
                ``multiscale_test`` and ``'predict'`` a list with those of
                each scale, which mmpose would stack.
            data_samples (list[PoseDataSample], optional): Their samples.
            mode (str): ``'tensor'``, ``'predict'`` or ``'loss'``. Defaults
                to ``'tensor'``.

        Returns:
            Tensor | tuple[Tensor] | list[PoseDataSample] | dict: Maps,
            predictions or losses.
        """
        pyramid = self.test_cfg.get('multiscale_test', False)
        if not (pyramid and mode == 'predict'):
            return super().forward(inputs, data_samples, mode)
        if self.metainfo is not None:
            for sample in data_samples:
                sample.set_metainfo(self.metainfo)
        return self.predict(inputs, data_samples)
