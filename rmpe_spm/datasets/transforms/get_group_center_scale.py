"""The place of a group of people as what the network looks at."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmpose.registry import TRANSFORMS


@TRANSFORMS.register_module()
class GetGroupCenterScale(BaseTransform):
    """Look at a group of people, for MPII's group protocol.

    Takes the place of ``GetBBoxCenterScale`` before ``TopdownAffine``, which
    crops the group for a bottom-up model; its predictions come back to the
    image as usual.

    Required Keys:

        - group_bbox

    Added Keys:

        - bbox_center
        - bbox_scale

    Args:
        padding (float): How many times the group's box to show. Defaults to
            1.25.
    """

    def __init__(self, padding: float = 1.25) -> None:
        self.padding = padding

    def transform(self, results: dict) -> dict:
        """Set the region.

        Args:
            results (dict): The sample.

        Returns:
            dict: The sample with centre (1, 2) and size (1, 2), w and h, of
            the region, float32, in pixels.

        Raises:
            ValueError: If the sample has no group.
        """
        if 'group_bbox' not in results:
            raise ValueError(
                'GetGroupCenterScale needs the "group_bbox" of '
                'MpiiMultiPersonDataset, without a bbox_file'
            )
        low, high = np.split(results['group_bbox'], 2, axis=1)
        results['bbox_center'] = ((low + high) / 2).astype(np.float32)
        results['bbox_scale'] = (self.padding * (high - low)).astype(
            np.float32
        )
        return results

    def __repr__(self) -> str:
        """Name the transform, for the log of a pipeline."""
        return f'{type(self).__name__}(padding={self.padding})'
