"""A data preprocessor that refuses inputs which the network can't take."""

from typing import Any

from mmpose.models.data_preprocessors import PoseDataPreprocessor
from mmpose.registry import MODELS


@MODELS.register_module()
class StrictPoseDataPreprocessor(PoseDataPreprocessor):
    """mmpose's data preprocessor for networks of several levels.

    Levels of strides up to 32 fit on one another only where width and height
    are multiples of 32. Elsewhere a network stops with sizes that say little,
    as HRNet does, or adds levels whose cells lie beside one another.

    Args:
        size_divisor (int): What width and height must be multiples of, in
            input pixels. Defaults to 32.
        **kwargs: Arguments of ``PoseDataPreprocessor``.

    Raises:
        ValueError: If ``size_divisor`` is no positive integer.
    """

    def __init__(self, size_divisor: int = 32, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(size_divisor, int) or size_divisor < 1:
            raise ValueError(
                'StrictPoseDataPreprocessor: size_divisor must be a positive '
                f'integer, got {size_divisor!r}'
            )
        self.size_divisor = size_divisor

    def forward(self, data: dict, training: bool = False) -> dict:
        """Normalise, pad and stack the images.

        Args:
            data (dict): ``inputs`` and ``data_samples`` of a batch.
            training (bool): Whether to augment batches. Defaults to
                ``False``.

        Returns:
            dict: The same, ``inputs`` on the device in shape (B, C, H, W).

        Raises:
            ValueError: If W or H is no multiple of ``size_divisor``.
        """
        data = super().forward(data, training)
        height, width = data['inputs'].shape[-2:]
        if height % self.size_divisor or width % self.size_divisor:
            raise ValueError(
                f'the input is {width}x{height}, but width and height must '
                f'be multiples of {self.size_divisor} '
                '(model.data_preprocessor.size_divisor): set size_factor='
                f'{self.size_divisor} in BottomupResize, or another '
                'input_size'
            )
        return data
