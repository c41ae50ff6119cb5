"""Resizing an image to several sizes, and remembering where it went."""

import numpy as np
from mmpose.datasets.transforms import BottomupResize
from mmpose.registry import TRANSFORMS


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
        """Resize the image.

        Args:
            results (dict): Results of the pipeline before.

        Returns:
            dict: The results with the keys above.
        """
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
