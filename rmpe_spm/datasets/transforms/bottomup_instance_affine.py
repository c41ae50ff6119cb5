"""Windows on the people of a picture, to train bottom-up models on."""

from typing import Any

import numpy as np
from mmpose.datasets.transforms import BottomupRandomAffine
from mmpose.registry import TRANSFORMS

from ...structures.visibility import visibility_flags


@TRANSFORMS.register_module()
class BottomupInstanceAffine(BottomupRandomAffine):
    """Warp a window around one person of the picture, drawn at random.

    Most of a picture shows nobody, and a convolutional network that is
    tested on whole pictures can be trained on a part of each: the samples
    are smaller and have people in them. Everybody in the window is trained,
    not only the person that it was laid around.

    The window shows the picture as it is when resized into ``picture_size``,
    or smaller where the person would not fit, and that times a factor drawn
    from ``scale_factor``. With a ``picture_size`` that makes most people as
    large as the window, the person that it is laid around is always of one
    range of sizes, as in `SNIP`_, and the test can read each person from a
    size of the picture that shows them so (``pose_size_range`` of
    :class:`~rmpe_spm.models.heads.SPMHead`). The window's centre is the
    centre of the person's box, shifted at random. In a picture without
    labelled people it lies anywhere.

    ``RandomFlip`` comes before it; after it the window would have to be
    square. The mirroring is taken into ``warp_mat``, which then leads from
    the picture as it was to the window, and ``flip`` becomes False:
    ``BottomupGetCrowdMask``, which warps the crowds of the picture as it
    was, so puts them where they are seen.

    Keys as :class:`BottomupRandomAffine`; ``keypoints``, ``keypoints_visible``
    and ``bbox`` must be there.

    Args:
        input_size (tuple): (w, h) of the window.
        picture_size (tuple): (w, h) that a whole picture would be resized
            into, with its aspect ratio: the test's, the largest if it has
            several.
        scale_factor (tuple): Bounds of the uniform random scale. With one
            above ``padding`` a person may stick out. Defaults to
            (0.75, 1.25).
        shift_factor (float): The largest shift on each axis, as a share of the
            window. Defaults to 0.15.
        padding (float): How many times the person's box must fit into the
            window at a scale of 1. Defaults to 1.15.
        **kwargs (Any): Other arguments of ``BottomupRandomAffine``, rotation
            among them. ``distribution`` and ``scale_type`` are given.

    Raises:
        ValueError: If a size, the scale or the padding is not positive.

    .. _SNIP: https://arxiv.org/abs/1711.08189
    """

    def __init__(
        self,
        input_size: tuple[int, int],
        picture_size: tuple[int, int],
        scale_factor: tuple[float, float] = (0.75, 1.25),
        shift_factor: float = 0.15,
        padding: float = 1.15,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            input_size,
            shift_factor=shift_factor,
            scale_factor=scale_factor,
            scale_type='long',
            distribution='uniform',
            **kwargs,
        )
        if kwargs.get('transform_mode') == 'perspective':
            raise ValueError(
                "BottomupInstanceAffine: transform_mode='perspective' cannot "
                "lay a window around a person: take 'affine' or 'affine_udp'"
            )
        positive = (*input_size, *picture_size, *scale_factor, padding)
        if min(positive) <= 0:
            raise ValueError(
                'BottomupInstanceAffine: input_size, picture_size, '
                'scale_factor and padding must be positive, got '
                f'{input_size}, {picture_size}, {scale_factor} and {padding}'
            )
        self.picture_size = np.array(picture_size, float)
        self.padding = padding

    def transform(self, results: dict) -> dict:
        """Warp the picture and its people.

        Args:
            results (dict): The sample.

        Returns:
            dict: The sample as the window shows it.
        """
        self._picture = np.array(results['img_shape'][1::-1], float)
        flags = visibility_flags(results['keypoints_visible'])
        labelled = (flags > 0).any(axis=1)
        boxes = results['bbox'][labelled]
        # NumPy's global state, as all of mmpose's transforms use
        self._box = None
        if len(boxes):
            self._box = boxes[np.random.randint(len(boxes))]  # noqa: NPY002
        results = super().transform(results)
        if results.get('flip'):
            results['warp_mat'] = results['warp_mat'] @ self._mirror(
                results['flip_direction']
            )
            results.update(flip=False, flip_direction=None)
        return results

    def _mirror(self, direction: str) -> np.ndarray:
        """How RandomFlip moved the picture's pixels, (3, 3)."""
        width, height = self._picture
        mirror = np.eye(3)
        if direction in ('horizontal', 'diagonal'):
            mirror[0] = -1, 0, width - 1
        if direction in ('vertical', 'diagonal'):
            mirror[1] = 0, -1, height - 1
        return mirror

    def _get_transform_params(self) -> tuple:
        """Centre and scale of the window as the parent class measures them."""
        shift, scale, rotation, shear = super()._get_transform_params()
        picture, window = self._picture, np.array(self.input_size, float)
        # window pixels for one of the picture
        factor = (self.picture_size / picture).min()
        if self._box is None:
            center = np.random.rand(2) * picture  # noqa: NPY002
        else:
            low, high = np.split(self._box, 2)
            center = (low + high) / 2
            extent = self.padding * np.maximum(high - low, 1)
            factor = min(factor, (window / extent).min())
        view = window / (factor * float(scale[0]))
        offset = (center + shift * view) / picture - 0.5
        # the parent extends the picture to the window's ratio, then scales it
        whole = max(picture[0], picture[1] * window[0] / window[1])
        return offset, np.array([view[0] / whole]), rotation, shear
