"""Images and annotations that would end or poison a run."""

import logging
import os.path as osp
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
from mmcv.transforms import BaseTransform
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log
from mmpose.datasets.transforms import LoadImage
from mmpose.registry import TRANSFORMS
from torch.utils.data import Dataset

from ..errors import ConfigError
from ..poses import visibility_flags
from .annotations import KeypointAnnotations

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

    Each problem is logged once an annotation (and data worker).

    - instance number: N
    - keypoint number: K

    Required Keys:

        - img_shape
        - bbox (optional; (N, 4), xyxy)
        - keypoints (optional; (N, K, 2))
        - keypoints_visible (optional; (N, K) or (N, K, 2))
        - dataset, id, img_id, img_path (optional; added by mmpose's
          datasets)

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
            ConfigError: At test a box is not finite.
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
                boxes[index] = _box_around(boxes[index].reshape(2, 2))
            self._report(results, index, f'has the box {box}: {what}')
        return results

    def _sanitize_keypoints(self, results: dict) -> np.ndarray:
        """Hide bad keypoints; return which are visible, (N, K)."""
        keypoints = np.array(results['keypoints'], np.float32)
        visible = np.array(results['keypoints_visible'], np.float32)
        visible[~np.isfinite(visible)] = 0
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


# the tag of EXIF, and what turns width into height
_ORIENTATION, _QUARTER_TURNS = 0x0112, (5, 6, 7, 8)

# pictures of a data set that are compared at the start
_SAMPLE = 32


class _CheckSize(BaseTransform):
    """Leave out pictures of other sizes (w, h) than listed for their path."""

    def __init__(self, sizes: dict[str, tuple[int, int]]) -> None:
        self.sizes = sizes
        self._said: set[str] = set()

    def transform(self, results: dict) -> dict | None:
        path, size = results['img_path'], results['img_shape'][1::-1]
        listed = self.sizes.get(path)
        if listed is None or listed == size:
            return results
        problem = 'is loaded as {}x{} pixels, but listed as {}x{}'.format(
            *size, *listed
        )
        advice = 'Are these the pictures of this annotation file? Restore them'
        if listed == size[::-1]:
            advice = (
                'Correct width and height, which are swapped (as in '
                "CrowdPose's first annotations)"
            )
            with PIL.Image.open(path) as picture:
                orientation = picture.getexif().get(_ORIENTATION)
            if orientation in _QUARTER_TURNS:
                problem += f'; it has the EXIF orientation {orientation}'
                advice = (
                    'If it is annotated as it is stored, load it so, by '
                    "color_type='color_ignore_orientation' of LoadImage; "
                    'else correct width and height'
                )
        return leave_out(results, problem, advice, self._said)


def check_sizes(
    dataset: Dataset, listed: Mapping[str, KeypointAnnotations]
) -> None:
    """Compare pictures with the sizes that their annotation file lists.

    A sample of them is loaded now, all others when the data set, whose
    pipelines get the check, loads them. In a picture that is turned while it
    is loaded, or whose listed sides are swapped, no model could find anybody.

    Raises:
        ConfigError: Names the first picture of another size.
    """
    sizes, samples = {}, []
    for part in _parts(dataset):
        annotations = listed.get(str(Path(part.ann_file)))
        if annotations is None:
            continue
        folder = part.data_prefix.get('img', '')
        listed_sizes = annotations.sizes
        for image in annotations.images:
            path = osp.join(folder, image['file_name'])
            sizes[path] = listed_sizes[image['id']]
        for index in range(0, len(part), len(part) // _SAMPLE + 1):
            info = BaseDataset.get_data_info(part, index)
            samples.append(dict(info, dataset=part))
    check = _CheckSize(sizes)
    load = LoadImage()
    for part in _parts(dataset, wrappers=True):
        steps = getattr(getattr(part, 'pipeline', None), 'transforms', [])
        for place, step in enumerate(steps):
            if isinstance(step, LoadImage):
                load = step
                steps.insert(place + 1, check)
                break
    for info in samples:
        if 'img' not in info and cv2.haveImageReader(info['img_path']):
            image = load.transform(info)
            if image is not None:
                check.transform(dict(image, dataset=None))


def check_images(dataset: Dataset) -> None:
    """Check that the images that a data set reads are there, not more.

    Raises:
        ConfigError: Some are missing, or not images. The message names the
            first.
    """
    images = {}
    for part in _parts(dataset):
        for index in range(len(part)):
            # mmpose's own would copy the skeleton for each
            info = BaseDataset.get_data_info(part, index)
            if info.get('img_path') and 'img' not in info:
                images[info['img_path']] = info.get('img_id')
    bad = [path for path in images if not cv2.haveImageReader(path)]
    if bad:
        raise ConfigError(
            f'{len(bad)} of the {len(images)} images to be evaluated are '
            f'missing or not images, {bad[0]} (image id {images[bad[0]]}) the '
            'first: restore them, or remove them from the annotation file'
        )


def _parts(dataset: Dataset, wrappers: bool = False) -> Iterator[Dataset]:
    """Yield the data sets within one, or it alone, and maybe the wrappers."""
    inner = list(getattr(dataset, 'datasets', ()))
    inner += [dataset.dataset] if hasattr(dataset, 'dataset') else []
    for part in inner:
        yield from _parts(part, wrappers)
    if wrappers or (not inner and isinstance(dataset, BaseDataset)):
        yield dataset
