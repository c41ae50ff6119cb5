"""The place of a group of people as what the network looks at."""

from typing import Any

import numpy as np
from mmpose.datasets.transforms import TopdownAffine
from mmpose.registry import TRANSFORMS


@TRANSFORMS.register_module()
class GroupAffine(TopdownAffine):
    """Crop a group of people, for MPII's group protocol.

    Takes the place of ``BottomupResize``: the group's box, padded and
    extended to the aspect ratio of the input, is warped to it as
    :class:`TopdownAffine` does for one person. Predictions of bottom-up
    models come back to the image as usual.

    A picture that has no group, as inferencers give them, is shown as a whole.

    Required Keys:

        - img
        - group_bbox (optional)
        - keypoints (optional)

    Modified Keys:

        - img
        - img_shape

    Added Keys:

        - input_size
        - input_center
        - input_scale
        - transformed_keypoints

    Args:
        input_size (tuple): (w, h) of the network's input.
        padding (float): How many times the group's box to show. Defaults to
            1.25.
        **kwargs: Other arguments of ``TopdownAffine``.
    """

    def __init__(
        self,
        input_size: tuple[int, int],
        padding: float = 1.25,
        **kwargs: Any,
    ) -> None:
        super().__init__(input_size, **kwargs)
        self.padding = padding

    def transform(self, results: dict) -> dict:
        """Crop the group.

        Args:
            results (dict): The sample.

        Returns:
            dict: The sample with the keys above.

        Raises:
            ValueError: If the sample has boxes of people, but no group.
        """
        if 'group_bbox' in results:
            padding, bbox_xyxy = self.padding, results['group_bbox']
        elif 'bbox' in results:
            raise ValueError(
                'GroupAffine needs the "group_bbox" of '
                'MpiiMultiPersonDataset, without a bbox_file'
            )
        else:
            height, width = results['img'].shape[:2]
            padding, bbox_xyxy = 1, [[0, 0, width, height]]
        low, high = np.split(np.float32(bbox_xyxy), 2, axis=1)
        region = dict(
            results,
            bbox_center=(low + high) / 2,
            bbox_scale=padding * (high - low),
        )
        region.pop('bbox_rotation', None)
        region = super().transform(region)
        # the region is the group's, not that of each of its people
        for name in ('bbox_center', 'bbox_scale'):
            del region[name]
        return region
