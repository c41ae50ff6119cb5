"""Packing an image in several sizes."""

from mmpose.datasets.transforms import PackPoseInputs
from mmpose.datasets.transforms.formatting import image_to_tensor
from mmpose.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PackMultiscalePoseInputs(PackPoseInputs):
    """:class:`PackPoseInputs` for images in several sizes.

    ``inputs`` becomes a list with one tensor for each scale, the base scale
    first, which :class:`MultiscaleBottomupPoseEstimator` takes.

    Args:
        meta_keys (Sequence[str], optional): As in :class:`PackPoseInputs`;
            the keys that merging the scales needs are always added.
            Defaults to ``None``: those of :class:`PackPoseInputs`.
        pack_transformed (bool): As in :class:`PackPoseInputs`. Defaults to
            ``False``.
    """

    scale_keys = ('aug_scales', 'aug_input_sizes', 'aug_input_scales')

    def __init__(self, meta_keys=None, pack_transformed=False):
        options = {} if meta_keys is None else dict(meta_keys=meta_keys)
        super().__init__(pack_transformed=pack_transformed, **options)
        self.meta_keys = (*self.meta_keys, *self.scale_keys)

    def transform(self, results: dict) -> dict:
        """Pack the image and its annotations.

        Args:
            results (dict): Results of the pipeline, ``img`` being a list.

        Returns:
            dict: ``inputs`` and ``data_samples``.

        Raises:
            ValueError: If there is only one image.
        """
        images = results['img']
        if not isinstance(images, list):
            raise ValueError(
                'PackMultiscalePoseInputs: the image comes in one size only; '
                'put MultiscaleBottomupResize with `aug_scales` before it'
            )
        packed = super().transform(results | dict(img=images[0]))
        packed['inputs'] = [image_to_tensor(image) for image in images]
        return packed
