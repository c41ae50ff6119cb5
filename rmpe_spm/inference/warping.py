"""mmpose's geometry before and after a network, in numpy alone."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class View:
    """Which part of a picture a network's input shows.

    The part has a middle ``center`` and ``scale`` (w, h); ``zoom`` are pixels
    of the input a pixel of the picture, ``start`` is the picture's origin.
    """

    input_size: tuple[int, int]
    center: np.ndarray
    scale: np.ndarray
    zoom: np.ndarray
    start: np.ndarray

    @classmethod
    def of(
        cls,
        input_size: tuple[int, int],
        center: np.ndarray,
        scale: np.ndarray,
        use_udp: bool,
    ) -> 'View':
        """Follow ``get_warp_matrix``, or with UDP ``get_udp_warp_matrix``."""
        size = np.asarray(input_size, dtype=np.float64)
        center, scale = np.float32(center), np.float32(scale)
        if use_udp:
            zoom = (size - 1) / scale
            start = zoom * (scale / 2 - center)
        else:
            zoom = np.full(2, size[0] / scale[0])  # one for both, as there
            start = size / 2 - zoom * center
        return cls(tuple(map(int, input_size)), center, scale, zoom, start)

    def to_picture(self, points: np.ndarray) -> np.ndarray:
        """Bring points (..., 2) of the input to the picture, as mmpose."""
        share = points / np.asarray(self.input_size)
        return share * self.scale + self.center - 0.5 * self.scale

    def region(self, picture_size: tuple[int, int]) -> np.ndarray:
        """Where the input shows the picture: (4,) in xyxy, float32."""
        size = np.asarray(self.input_size, dtype=np.float64)
        zoom = size / self.scale
        start = size / 2 - self.center * zoom
        end = start + np.asarray(picture_size) * zoom
        return np.float32([*np.maximum(start, 0), *np.minimum(end, size)])

    def show(self, image: np.ndarray) -> np.ndarray:
        """Resample a picture (H, W, 3), uint8, as ``cv2.warpAffine`` does."""
        columns, right = _samples(self, 0, image.shape[1])
        rows, low = _samples(self, 1, image.shape[0])
        total = np.zeros((len(low), len(right), 3), np.int32)
        for j in (0, 1):
            wanted, weight = _weighted(rows, low, j, image.shape[0])
            lines = image[wanted]
            for i in (0, 1):
                places, share = _weighted(columns, right, i, image.shape[1])
                factors = weight[:, None] * share
                total += lines[:, places] * factors[..., None]
        return ((total + 512) >> 10).astype(np.uint8)


def bottomup_view(
    picture_size: tuple[int, int],
    zoom: float,
    input_size: tuple[int, int],
    size_factor: int,
    resize_mode: str,
    use_udp: bool,
) -> View:
    """The view of mmpose's ``BottomupResize``, whose arguments these are."""
    width, height = picture_size
    ratio = width / height
    input_size = tuple(int(side * zoom) for side in input_size)
    pad_w, pad_h = (-(-s // size_factor) * size_factor for s in input_size)
    if resize_mode == 'fit':
        actual = min(pad_w, pad_h * ratio), min(pad_h, pad_w / ratio)
        padded = pad_w, pad_h
    else:
        actual = max(pad_w, pad_h * ratio), max(pad_h, pad_w / ratio)
        padded = tuple(
            int(np.ceil(s / size_factor) * size_factor) for s in actual
        )
    size = np.array(picture_size, dtype=np.float64)
    if use_udp:
        view = View.of(actual, (size - 1) / 2, size, True)
        return View(padded, view.center, view.scale, view.zoom, view.start)
    scale = size * padded / np.array(actual)
    return View.of(padded, size / 2, scale, False)


def topdown_view(
    bbox_xyxy: np.ndarray,
    input_size: tuple[int, int],
    padding: float,
    use_udp: bool,
) -> View:
    """The view of ``GetBBoxCenterScale`` and ``TopdownAffine``."""
    low, high = np.float32(bbox_xyxy[:2]), np.float32(bbox_xyxy[2:])
    w, h = (high - low) * np.float32(padding)
    ratio = input_size[0] / input_size[1]
    scale = (w, w / ratio) if w > h * ratio else (h * ratio, h)
    return View.of(input_size, (low + high) / 2, np.array(scale), use_udp)


def _samples(view: View, axis: int, length: int) -> tuple[np.ndarray, ...]:
    """The pixel before each place that is sampled, and 32nds behind it.

    OpenCV inverts the whole matrix, and rounds along x a step and the start
    each, along y their sum.
    """
    inverse = view.zoom[1 - axis] * (1 / view.zoom.prod())
    places = inverse * np.arange(view.input_size[axis])
    first = -inverse * view.start[axis]
    if axis == 0:
        places = np.rint(places * 1024) + np.rint(first * 1024)
    else:
        places = np.rint((places + first) * 1024)
    steps = (places + 16).astype(np.int64) >> 5
    return (steps >> 5).clip(-2, length), steps & 31


def _weighted(
    before: np.ndarray, behind: np.ndarray, which: int, length: int
) -> tuple[np.ndarray, np.ndarray]:
    """One of two neighbours and its weight in 32nds, 0 where there is none."""
    places = before + which
    weights = behind if which else 32 - behind
    inside = (places >= 0) & (places < length)
    return places.clip(0, length - 1), np.where(inside, weights, 0)
