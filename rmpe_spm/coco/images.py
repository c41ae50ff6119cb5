"""Whether the images of a data set are there, and as large as listed."""

import os.path as osp
from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import PIL.Image
from mmcv.transforms import BaseTransform
from mmengine.dataset import BaseDataset
from mmpose.datasets.transforms import LoadImage
from torch.utils.data import Dataset

from ..errors import ConfigError
from .annotations import KeypointAnnotations
from .loading import leave_out

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
