"""Loading of images that leaves unreadable ones out of training."""

import logging

import cv2
from mmengine.logging import print_log
from mmpose.datasets.transforms import LoadImage
from mmpose.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadImageOrSkip(LoadImage):
    """Load an image; in training, skip the sample if it cannot be read.

    An unreadable image is logged, once a file (and data worker), and the
    dataset takes another sample in its place. In a dataset in test mode, and
    outside datasets, it is an error: a skipped image would change the
    result. mmpose's ``Mosaic`` and ``YOLOXMixUp`` cannot skip one among their
    other images: keep ``LoadImage`` in their ``pre_transform``.

    Required Keys:

        - img_path
        - img (optional)
        - img_id (optional)
        - dataset (optional; added by mmpose's datasets)

    Modified Keys:

        - img
        - img_shape
        - ori_shape
        - img_path (optional)

    Args:
        **kwargs: As in mmpose's :class:`LoadImage`.
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        self._reported: set[str] = set()

    def transform(self, results: dict) -> dict | None:
        """Load the image.

        Args:
            results (dict): The sample.

        Returns:
            dict | None: The sample with its image, None to skip it.

        Raises:
            ValueError: The image cannot be read and must not be skipped.
        """
        path = str(results.get('img_path'))
        try:
            return super().transform(results)
        except (OSError, AssertionError, ValueError, cv2.error) as error:
            # mmpose wraps the error in one that only repeats the path.
            reason = str(error.__context__ or error).strip()
        where = f'image {path} (image id {results.get("img_id")})'
        training = not getattr(results.get('dataset'), 'test_mode', True)
        if not training:
            raise ValueError(
                f'{where} cannot be read: {reason}. Restore the file, or '
                'remove the image from the annotation file'
            )
        if path not in self._reported:
            self._reported.add(path)
            print_log(
                f'{where} cannot be read and is left out of training: '
                f'{reason}',
                logger='current',
                level=logging.WARNING,
            )
        return None
