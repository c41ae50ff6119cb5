"""The mask of what is not labelled, crowds included."""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from mmpose.datasets.transforms import BottomupGetHeatmapMask
from mmpose.registry import TRANSFORMS
from xtcocotools import mask as cocomask

_TRIANGLE = 6  # numbers


@TRANSFORMS.register_module()
class BottomupGetCrowdMask(BottomupGetHeatmapMask):
    """Mask people without keypoints, and crowds.

    mmpose's :class:`BottomupGetHeatmapMask` reads polygons only and passes
    run lengths over without a word. COCO has its ``iscrowd`` regions as run
    lengths, so that crowds would be trained as background. Here both are
    masked; all else, the keys and the argument too, is mmpose's.

    A region of another size than the image's is not masked, with one warning.
    Polygons of fewer than three points, and none at all, mask nothing.
    """

    def _segs_to_mask(
        self, segs: Sequence, img_shape: tuple[int, int]
    ) -> np.ndarray:
        """Draw segmentations.

        Args:
            segs (Sequence): Polygons, or run lengths as dicts with ``size``
                (h, w) and ``counts``: numbers, or compressed.
            img_shape (tuple[int, int]): The image's (h, w).

        Returns:
            np.ndarray: 1 where one of them is, else 0, (h, w), uint8.
        """
        polygons = [
            [p for p in seg if isinstance(p, Mapping) or len(p) >= _TRIANGLE]
            for seg in segs
            if isinstance(seg, list | tuple)
        ]
        # mmpose stops at a list without any
        mask = super()._segs_to_mask(list(filter(None, polygons)), img_shape)
        rles = []
        for seg in segs:
            if not isinstance(seg, Mapping):
                continue
            if tuple(seg['size']) != tuple(img_shape):
                warnings.warn(
                    'BottomupGetCrowdMask: a region of (h, w) = '
                    f'{tuple(seg["size"])} in an image of {tuple(img_shape)} '
                    'is not masked; do the annotations belong to the images?',
                    stacklevel=2,
                )
            elif isinstance(seg['counts'], list):
                rles.append(cocomask.frPyObjects(dict(seg), *img_shape))
            else:
                rles.append(dict(seg))
        if rles:
            mask = mask | cocomask.decode(cocomask.merge(rles))
        return mask
