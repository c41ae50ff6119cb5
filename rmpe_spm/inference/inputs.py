"""Whatever people have, read as one stream of pictures."""

import glob
import io
import logging
import os
import re
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union
from urllib.parse import unquote, urlparse

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

LOGGER = logging.getLogger('rmpe_spm')

_PICTURES = (
    '.avif .bmp .jfif .jpe .jpeg .jpg .jp2 .pgm .png .pnm .ppm .tif .tiff '
    '.webp'
)
_VIDEOS = (
    '.3gp .avi .flv .gif .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .ts .webm '
    '.wmv'
)
_URL_TIMEOUT_S = 30
DEFAULT_FPS = 25.0  # of a camera that doesn't say
_CAMERA = re.compile(r'webcam(?::(\d+))?')

Inputs = Union[str, os.PathLike, int, np.ndarray, Iterable]


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture (H, W, 3), BGR, uint8, upright, or a frame of a video.

    ``name`` is its path or URL, ``'array'`` or ``'webcam:0'``, ``index`` its
    place among the inputs, ``frame`` that in its video.
    """

    image: np.ndarray
    name: str
    index: int
    frame: int | None = None
    fps: float | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, in pixels."""
        return self.image.shape[1], self.image.shape[0]

    def __str__(self) -> str:
        """Name the picture for a message."""
        frame = '' if self.frame is None else f', frame {self.frame}'
        return f'{self.name}{frame}'


class InputStream:
    """Read inputs one picture after the other; report and skip bad ones.

    Inputs are the path of a picture or a video, a folder (its pictures and
    videos by name, without subfolders), a pattern such as ``'*/*.jpg'``, a
    URL, ``0`` or ``'webcam:0'`` for a camera, an array (H, W), (H, W, 3) in
    BGR or (H, W, 4), of uint8 or uint16, or an iterable of all these. Only
    the picture that is asked for is in memory. Pictures are turned upright
    by their EXIF tag and brought to 8 bits and three channels (of 16 bits
    the upper 8; transparency is dropped). A stream is read once.

    Args:
        inputs: The inputs.

    Attributes:
        skipped (list[tuple[str, str]]): Name and reason of each input that
            could not be read so far.

    Example::

        stream = InputStream(['photo.jpg', 'holiday/', 'dance.mp4'])
        for picture in stream:
            print(picture.name, picture.frame, picture.image.shape)
        print(stream.skipped)
    """

    def __init__(self, inputs: Inputs) -> None:
        if isinstance(inputs, str | os.PathLike | int | np.ndarray):
            inputs = [inputs]
        self._inputs = inputs
        self._index = 0
        self.skipped: list[tuple[str, str]] = []

    def __iter__(self) -> Iterator[Picture]:
        """Yield the pictures in their order."""
        for item in _flatten(self._inputs):
            yield from self._read(item)

    def count(self) -> int | None:
        """Tell how many pictures to expect, None where nobody knows."""
        if not isinstance(self._inputs, Sequence):
            return None
        total = 0
        for item in _flatten(self._inputs):
            if isinstance(item, int) or _is_stream(item):
                return None
            is_file = isinstance(item, Path)
            total += _num_frames(item) if is_file and _is_video(item) else 1
        return total

    def _read(self, item: Any) -> Iterator[Picture]:
        """Read one input that is no collection."""
        if isinstance(item, int):
            yield from self._frames(item, f'webcam:{item}')
        elif isinstance(item, np.ndarray):
            yield from self._single(item, 'array')
        elif isinstance(item, tuple):
            self._skip(*item)
        elif _is_stream(item) or _is_video(item):
            yield from self._frames(str(item), str(item))
        else:
            yield from self._single(item, str(item))

    def _single(self, source: Any, name: str) -> Iterator[Picture]:
        try:
            if isinstance(source, np.ndarray):
                image = _as_bgr(source)
            elif isinstance(source, str):
                with urllib.request.urlopen(
                    source, timeout=_URL_TIMEOUT_S
                ) as answer:
                    image = read_picture(io.BytesIO(answer.read()))
            else:
                image = read_picture(source)
        except UnidentifiedImageError:
            is_empty = isinstance(source, Path) and not source.stat().st_size
            what = 'it is no picture, or of a format that Pillow cannot read'
            self._skip(name, 'the file is empty' if is_empty else what)
            return
        # A damaged file can make its decoder raise anything.
        except Exception as error:
            self._skip(name, str(error) or type(error).__name__)
            return
        yield Picture(image, name, self._index)
        self._index += 1

    def _frames(self, source: str | int, name: str) -> Iterator[Picture]:
        import cv2

        capture = cv2.VideoCapture(source)
        try:
            fps = capture.get(cv2.CAP_PROP_FPS) or None
            number, expected = 0, capture.get(cv2.CAP_PROP_FRAME_COUNT)
            while True:
                decoded, image = capture.read()
                if not decoded:
                    break
                yield Picture(_as_bgr(image), name, self._index, number, fps)
                self._index += 1
                number += 1
        finally:
            capture.release()
        if number == 0:
            what = 'there is no such camera, or another program uses it'
            if not isinstance(source, int):
                what = 'no frame of it can be decoded'
            self._skip(name, what)
        elif number + 1 < expected:  # headers are off by one
            LOGGER.warning(
                f'{name} ends after {number} of {expected:.0f} frames: it is '
                'damaged or cut short; the frames before are used'
            )

    def _skip(self, name: str, reason: str) -> None:
        self._index += 1
        self.skipped.append((name, reason))
        LOGGER.warning(f'{name} is skipped: {reason}')


def read_picture(source: str | os.PathLike | io.BytesIO) -> np.ndarray:
    """Read a picture file (H, W, 3), BGR, upright.

    Raises:
        OSError: The file cannot be read, is no picture or is truncated.
    """
    with Image.open(source) as image:
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode.startswith('I'):  # 16 bits, which convert() would clip
            return _as_bgr(np.asarray(image).astype(np.uint16))
        rgb = np.asarray(image.convert('RGB'))
    return np.ascontiguousarray(rgb[..., ::-1])


def _as_bgr(array: np.ndarray) -> np.ndarray:
    """Bring an array of any kind to (H, W, 3) and uint8."""
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in (1, 3, 4) or not array.size:
        raise ValueError(
            'an array must be (H, W), (H, W, 3) or (H, W, 4), and not empty: '
            f'it is {array.shape}'
        )
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    if array.dtype != np.uint8:
        raise ValueError(
            f'an array must be of uint8 (or uint16): it is of {array.dtype}'
        )
    if channels == 1:
        array = np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)
    return np.ascontiguousarray(array[..., :3])


def _flatten(inputs: Iterable) -> Iterator[Any]:
    """Yield arrays, numbers of cameras, paths and URLs, or (name, reason)."""
    for item in inputs:
        if isinstance(item, bool) or item is None:
            yield str(item), 'it is no picture'
        elif isinstance(item, int | np.integer):
            yield int(item)
        elif isinstance(item, np.ndarray):
            # a stack of pictures, as video readers return
            yield from item if item.ndim == 4 else [item]
        elif isinstance(item, str | os.PathLike):
            yield from _find(os.fspath(item))
        elif isinstance(item, Iterable):
            yield from _flatten(item)
        else:
            yield repr(item), 'it is no picture'


def _find(name: str) -> Iterator[Any]:
    """Yield what a text names: as :func:`_flatten`."""
    path = Path(name)
    camera = _CAMERA.fullmatch(name)
    if camera:
        yield int(camera[1] or 0)
    elif '://' in name:
        yield name
    elif path.is_dir():
        files = [each for each in sorted(path.iterdir()) if _is_known(each)]
        yield from files or [(name, 'the folder has no picture and no video')]
    elif path.exists():
        yield path
    elif glob.has_magic(name):
        files = map(Path, sorted(glob.glob(name, recursive=True)))
        files = [each for each in files if each.is_file()]
        yield from files or [(name, 'no file matches the pattern')]
    else:
        yield name, 'there is no such file or folder'


def _is_known(path: Path) -> bool:
    return _is_video(path) or path.suffix.lower() in _PICTURES.split()


def _is_video(place: Path | str) -> bool:
    """Whether it is the path or the URL of a video file."""
    if isinstance(place, str):
        place = Path(unquote(urlparse(place).path))
    return place.suffix.lower() in _VIDEOS.split()


def _is_stream(item: Any) -> bool:
    """Whether it is a URL that is no file."""
    files = ('http', 'https', 'file')
    return isinstance(item, str) and urlparse(item).scheme not in files


def _num_frames(path: Path) -> int:
    import cv2

    capture = cv2.VideoCapture(str(path))
    number = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    capture.release()
    return max(number, 0)
