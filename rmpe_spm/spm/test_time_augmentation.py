"""The multi-scale test: images in several sizes, and a model that takes them.

mmpose's own stops where images of unequal size are stacked.
"""

from typing import Any

import numpy as np
from mmpose.datasets.transforms import BottomupResize, PackPoseInputs
from mmpose.datasets.transforms.formatting import image_to_tensor
from mmpose.models.pose_estimators import BottomupPoseEstimator
from mmpose.registry import MODELS, TRANSFORMS
from mmpose.utils.typing import ForwardResults, OptSampleList, SampleList
from torch import Tensor


@TRANSFORMS.register_module()
class MultiscaleBottomupResize(BottomupResize):
    """:class:`BottomupResize` that says where each extra scale lies.

    The sizes are rounded up to multiples of ``size_factor``, so that the
    image takes another part of the input at each scale. Merging the scales
    exactly needs to know it.

    Added Keys (beside those of :class:`BottomupResize`):

        - aug_input_sizes: [w, h] of the input at each extra scale
        - aug_input_scales: the image region (w, h), in image pixels and
          around the image's centre, that it shows
    """

    def transform(self, results: dict) -> dict | None:
        """Resize the image to all sizes; ``ori_shape`` must be there."""
        img_h, img_w = results['ori_shape']
        results = super().transform(results)
        sizes, scales = [], []
        for factor in self.aug_scales or []:
            wanted = tuple(int(side * factor) for side in self.input_size)
            actual, padded = self._get_input_size((img_w, img_h), wanted)
            sizes.append(padded)
            scales.append(
                np.array([img_w, img_h]) * np.array(padded) / np.array(actual)
            )
        results['aug_input_sizes'] = sizes
        results['aug_input_scales'] = scales
        return results


@TRANSFORMS.register_module()
class PackMultiscalePoseInputs(PackPoseInputs):
    """:class:`PackPoseInputs` for images in several sizes.

    ``inputs`` becomes a list with one tensor for each scale, the base scale
    first, which :class:`MultiscaleBottomupPoseEstimator` takes.

    Args:
        **kwargs (Any): As in :class:`PackPoseInputs`; the ``meta_keys`` that
            merging the scales needs are always added.
    """

    scale_keys = ('aug_scales', 'aug_input_sizes', 'aug_input_scales')

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.meta_keys = (*self.meta_keys, *self.scale_keys)

    def transform(self, results: dict) -> dict:
        """Pack ``inputs`` and ``data_samples``; ``img`` must be a list."""
        images = results['img']
        if not isinstance(images, list):
            raise ValueError(
                'PackMultiscalePoseInputs: the image comes in one size only; '
                'put MultiscaleBottomupResize with `aug_scales` before it'
            )
        packed = super().transform(results | dict(img=images[0]))
        packed['inputs'] = [image_to_tensor(image) for image in images]
        return packed


@MODELS.register_module()
class MultiscaleBottomupPoseEstimator(BottomupPoseEstimator):
    """:class:`BottomupPoseEstimator` for images in several sizes at test.

    It takes what :class:`PackMultiscalePoseInputs` packs, one tensor for each
    scale, and runs the scales one after the other. It needs
    ``multiscale_test=True`` in ``test_cfg`` and in the test pipeline
    ``MultiscaleBottomupResize`` with ``aug_scales``. Without
    ``multiscale_test`` it is its parent.

    With more than one image a batch, all must have the same size at each
    scale (``resize_mode='fit'``).
    """

    def test_step(self, data: dict) -> SampleList:
        """Predict from a batch of the data loader.

        ``inputs`` are, for each scale, a list of the images' tensors (C, H,
        W). It is an error if they come in a single scale with
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

        With ``multiscale_test`` and ``'predict'`` the inputs are a list with
        the images (B, C, H, W) of each scale, which mmpose would stack.
        """
        pyramid = self.test_cfg.get('multiscale_test', False)
        if not (pyramid and mode == 'predict'):
            return super().forward(inputs, data_samples, mode)
        if self.metainfo is not None:
            for sample in data_samples:
                sample.set_metainfo(self.metainfo)
        return self.predict(inputs, data_samples)
