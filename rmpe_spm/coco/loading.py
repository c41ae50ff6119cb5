"""Transforms for images and annotations that would end or poison a run."""

import logging
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.logging import print_log
from mmpose.datasets.transforms import LoadImage
from mmpose.registry import TRANSFORMS

from ..errors import ConfigError
from ..poses import visibility_flags

# Other errors that have a number are the system's: too many open files, ...
_OF_THE_FILE = (
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)


@TRANSFORMS.register_module()
class LoadImageOrSkip(LoadImage):
    """Load an image; in training, skip the sample if it cannot be read.

    An unreadable image is logged, once a file (and data worker), and the
    data set takes another sample in its place. In a data set in test mode,
    and outside data sets, it is an error: a skipped image would change the
    result. mmpose's ``Mosaic`` and ``YOLOXMixUp`` cannot skip one among their
    other images: keep ``LoadImage`` in their ``pre_transform``.

    Keys and arguments are those of mmpose's :class:`LoadImage`; ``img_id``
    and ``dataset``, which mmpose's data sets add, are optional.
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        self._said: set[str] = set()

    def transform(self, results: dict) -> dict | None:
        """Load the image of a sample, or return None to skip it.

        Raises:
            ConfigError: The image cannot be read and must not be skipped.
            OSError: The system's fault, not the image's, such as too many
                open files.
        """
        try:
            return super().transform(results)
        except (OSError, AssertionError, ValueError, cv2.error) as error:
            # mmpose wraps the error in one that only repeats the path.
            cause = error.__context__ or error
            if getattr(cause, 'errno', None) and not isinstance(
                cause, _OF_THE_FILE
            ):
                raise cause from None
            reason = str(cause).strip()
        return leave_out(
            results,
            f'cannot be read: {reason}',
            'Restore the file',
            self._said,
        )


def leave_out(
    results: dict, problem: str, advice: str, said: set[str]
) -> None:
    """Skip an image in training and log it once; else it is an error."""
    path = str(results.get('img_path'))
    where = f'image {path} (image id {results.get("img_id")})'
    if getattr(results.get('dataset'), 'test_mode', True):
        raise ConfigError(
            f'{where} {problem}. {advice}, or remove the image from the '
            'annotation file'
        )
    if path not in said:
        said.add(path)
        print_log(
            f'{where} {problem}; it is left out of training',
            logger='current',
            level=logging.WARNING,
        )


@TRANSFORMS.register_module()
class SanitizeInstances(BaseTransform):
    """Repair or leave out bad instances, and say so once.

    Comes directly after the image is loaded, while coordinates are in pixels
    of the original image.

    - A keypoint that is not finite or lies outside the image becomes
      invisible (and, if not finite, zero).
    - A box that is not finite or has no area: in top-down training the
      sample is skipped; at test it grows to one pixel about its place, or is
      an error if not finite; in bottom-up mode it becomes the box of the
      visible keypoints.
    - A top-down sample without a visible keypoint is skipped in training.
    - A number of keypoints other than the dataset's is an error.

    Each problem is logged once an annotation (and data worker).

    - instance number: N
    - keypoint number: K

    Required Keys:

        - img_shape
        - bbox (optional; (N, 4), xyxy)
        - keypoints (optional; (N, K, 2))
        - keypoints_visible (optional; (N, K) or (N, K, 2))
        - flip_indices, dataset, id, img_id, img_path (optional; added by
          mmpose's datasets)

    Modified Keys:

        - bbox
        - keypoints
        - keypoints_visible
    """

    def __init__(self) -> None:
        self._reported: set[tuple] = set()

    def transform(self, results: dict) -> dict | None:
        """Repair one sample, or return None to skip it.

        Raises:
            ConfigError: The number of keypoints is not the dataset's, or at
                test a box is not finite.
        """
        dataset = results.get('dataset')
        training = not getattr(dataset, 'test_mode', True)
        bottom_up = _data_mode(dataset) == 'bottomup'
        visible = None
        if results.get('keypoints') is not None:
            visible = self._sanitize_keypoints(results)
            if training and not bottom_up and not visible.any():
                self._report(results, 0, 'has no visible keypoint: skipped')
                return None
        if results.get('bbox') is None:
            return results

        boxes = results['bbox'] = np.array(results['bbox'], np.float32)
        finite = np.isfinite(boxes).all(axis=1)
        good = finite & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        for index in np.flatnonzero(~good):
            box = boxes[index].tolist()
            if bottom_up:
                shown = []
                if visible is not None:
                    shown = results['keypoints'][index][visible[index]]
                what = 'box of its keypoints taken'
                boxes[index] = _box_around(shown)
            elif training:
                self._report(results, index, f'has the box {box}: skipped')
                return None
            elif not finite[index]:
                raise ConfigError(
                    f'{_where(results, index)} has the box {box}, which is '
                    'not finite: correct or remove it'
                )
            else:
                what = 'grown to one pixel'
                corners = boxes[index].reshape(2, 2)
                low, high = corners.min(axis=0), corners.max(axis=0)
                boxes[index] = [*low, *np.maximum(high, low + 1)]
            self._report(results, index, f'has the box {box}: {what}')
        return results

    def _sanitize_keypoints(self, results: dict) -> np.ndarray:
        """Hide bad keypoints; return which are visible, (N, K)."""
        keypoints = np.array(results['keypoints'], np.float32)
        visible = np.array(results['keypoints_visible'], np.float32)
        visible[~np.isfinite(visible)] = 0
        expected = len(results.get('flip_indices', ())) or keypoints.shape[1]
        if keypoints.shape[1] != expected:
            raise ConfigError(
                f'{_where(results, 0)} has {keypoints.shape[1]} keypoints, '
                f"but the dataset's skeleton has {expected}: correct the "
                'annotation, or give the metainfo that belongs to it'
            )
        h, w = results['img_shape'][:2]
        flags = visibility_flags(visible)
        finite = np.isfinite(keypoints).all(axis=2)
        inside = ((keypoints >= 0) & (keypoints <= (w, h))).all(axis=2)
        bad = ~(finite & inside) & (flags > 0)
        for index in np.flatnonzero(bad.any(axis=1)):
            which = np.flatnonzero(bad[index]).tolist()
            self._report(
                results,
                index,
                f'has keypoints {which} outside its {w}x{h} image or not '
                'finite: taken as invisible',
            )
        keypoints[~finite] = 0
        visible[bad] = 0
        results['keypoints'] = keypoints
        results['keypoints_visible'] = visible
        return (flags > 0) & ~bad

    def _report(self, results: dict, index: int, what: str) -> None:
        where = _where(results, index)
        if (where, what) not in self._reported:
            self._reported.add((where, what))
            print_log(
                f'{where} {what}', logger='current', level=logging.WARNING
            )


def _data_mode(dataset: Any) -> str:
    """How a data set gives its samples; several combined give them alike."""
    if not hasattr(dataset, 'data_mode') and getattr(dataset, 'datasets', ()):
        return _data_mode(dataset.datasets[0])
    return getattr(dataset, 'data_mode', 'topdown')


def _where(results: dict, index: int) -> str:
    """Say which annotation of which image."""
    ids = np.atleast_1d(results.get('id', []))
    name = f'annotation {ids[index]}' if len(ids) > index else 'an instance'
    return (
        f'{name} of image {results.get("img_path")} (image id '
        f'{results.get("img_id")})'
    )


def _box_around(points: np.ndarray) -> np.ndarray:
    """Return the box (4,) xyxy of points (M, 2), at least a pixel wide."""
    if not len(points):
        return np.array([0, 0, 1, 1], np.float32)
    low = points.min(axis=0)
    return np.r_[low, np.maximum(points.max(axis=0), low + 1)]
