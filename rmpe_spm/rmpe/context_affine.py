"""TopdownContextAffine: a crop with room around it, for the STN to move in."""

import cv2
from mmpose.datasets.transforms import TopdownAffine
from mmpose.registry import TRANSFORMS
from mmpose.structures.bbox import get_udp_warp_matrix, get_warp_matrix


def context_size(
    input_size: tuple[int, int], context: float
) -> tuple[int, int]:
    """Return the size (w, h) of a crop with context, symmetric about it.

    Example:
        >>> context_size((192, 256), 1.6)
        (308, 410)
    """
    width, height = (n + 2 * round((context - 1) * n / 2) for n in input_size)
    return width, height


@TRANSFORMS.register_module()
class TopdownContextAffine(TopdownAffine):
    """mmpose's TopdownAffine that also shows what is around the crop.

    The image is ``context`` times as large as the SPPE's input and shows as
    many pixels a person: its middle is the crop of :class:`TopdownAffine`.
    All else is that crop's: ``input_size``, ``input_center``,
    ``input_scale`` and ``transformed_keypoints``, and so the targets and the
    predictions. ``ParallelSPPE(context=...)`` cuts the SPPE's input out.

    Required, modified and added keys are those of :class:`TopdownAffine`.

    Args:
        input_size (tuple[int, int]): Size ``(w, h)`` of the SPPE's input.
        use_udp (bool): As in :class:`TopdownAffine`. Defaults to False.
        context (float): The size of the image over the input's, at least 1;
            see :func:`context_size`. Defaults to 1.6.

    Example:
        >>> transform = TopdownContextAffine((192, 256), context=1.6)
        >>> # in the place of dict(type='TopdownAffine', ...) of a config
    """

    def __init__(
        self,
        input_size: tuple[int, int],
        use_udp: bool = False,
        context: float = 1.6,
    ) -> None:
        super().__init__(input_size, use_udp)
        self.context = context
        if not context >= 1:
            raise ValueError(
                f'TopdownContextAffine: context={context} is below 1'
            )

    def transform(self, results: dict) -> dict:
        """Crop with context, and move keypoints to the crop without it."""
        image = results['img']
        results['img'] = []  # nothing to warp for the plain transform
        results = super().transform(results)
        make = get_udp_warp_matrix if self.use_udp else get_warp_matrix
        matrix = make(
            results['input_center'],
            results['input_scale'],
            results['bbox_rotation'][0] if 'bbox_rotation' in results else 0.0,
            output_size=self.input_size,
        )
        size = context_size(self.input_size, self.context)
        for axis in range(2):
            matrix[axis, 2] += (size[axis] - self.input_size[axis]) // 2
        results['img'] = cv2.warpAffine(
            image, matrix, size, flags=cv2.INTER_LINEAR
        )
        return results
