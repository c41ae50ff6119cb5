"""Poses drawn on pictures and videos, and in a camera's space."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from .inputs import DEFAULT_FPS, Picture
from .results import PoseResult

# Which coordinates go right and down: depth goes right in both
_VIEWS = {'side': (2, 1), 'above': (2, 0)}
_PAPER, _GRID, _INK = (255, 255, 255), (225, 225, 225), (90, 90, 90)
_COLOURS = (
    (190, 90, 20), (40, 110, 230), (60, 150, 40), (160, 60, 160),
    (30, 30, 200), (150, 150, 0),
)  # fmt: skip
_MARGIN = 0.5  # metres

JPEG_QUALITY = 90


def draw_views(result: PoseResult, height: int) -> np.ndarray:
    """Draw ``keypoints_3d`` from the side and, below, from above.

    The camera is the triangle and looks to the right; lines of the grid are
    a metre apart. People have a colour each.
    """
    sides = height - height // 2, height // 2
    return np.vstack(
        [
            _draw_view(result, view, (height, side))
            for view, side in zip(_VIEWS, sides, strict=True)
        ]
    )


def _draw_view(
    result: PoseResult, view: str, size: tuple[int, int]
) -> np.ndarray:
    points = result.keypoints_3d[..., _VIEWS[view]] / 1000.0
    # with the camera
    seen = np.concatenate((points.reshape(-1, 2), np.zeros((1, 2))))
    low, high = seen.min(0) - _MARGIN, seen.max(0) + _MARGIN
    scale = (size / (high - low)).min()
    start = (size - scale * (low + high)) / 2

    def pixels(metres: np.ndarray) -> np.ndarray:
        return np.rint(metres * scale + start).astype(np.int32)

    image = np.full((*size[::-1], 3), _PAPER, np.uint8)
    first, last = np.ceil(-start / scale), np.floor((size - start) / scale)
    metres = np.arange(min(first), max(last) + 1)
    for x, y in pixels(np.stack((metres, metres), 1)).tolist():
        cv2.line(image, (x, 0), (x, size[1]), _GRID)
        cv2.line(image, (0, y), (size[0], y), _GRID)
    camera = pixels(np.array([(0, 0), (0.4, -0.2), (0.4, 0.2)]))
    cv2.polylines(image, [camera], True, _INK, 1, cv2.LINE_AA)
    for number, person in enumerate(pixels(points)):
        colour = _COLOURS[number % len(_COLOURS)]
        for link in result.skeleton:
            ends = person[list(link)].tolist()
            cv2.line(image, *ends, colour, 1, cv2.LINE_AA)
    place, font = (4, size[1] - 5), cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(image, view, place, font, 0.4, _INK, 1, cv2.LINE_AA)
    return image


class PoseDrawer:
    """Draw joints from a score up in the colours of mmpose's visualizer."""

    def __init__(
        self, metainfo: Mapping[str, Any], kpt_thr: float = 0.2
    ) -> None:
        links, colours = (
            np.asarray(metainfo[f'skeleton_link{end}']).tolist()
            for end in ('s', '_colors')
        )
        self._links = list(zip(links, colours, strict=True))
        self._colours = np.asarray(metainfo['keypoint_colors']).tolist()
        self._kpt_thr = kpt_thr

    def draw(self, image: np.ndarray, result: PoseResult) -> np.ndarray:
        """Draw poses on a copy, in 3D with other views of them beside it."""
        drawn = image.copy()
        width = max(2, round(max(result.size) / 400))
        # far outside OpenCV's integers would overflow
        points = np.clip(result.keypoints, -(1 << 14), 1 << 14)
        points = np.rint(points).astype(int).tolist()
        shown = result.keypoint_scores >= self._kpt_thr
        for own, is_shown in zip(points, shown, strict=True):
            for (start, end), (red, green, blue) in self._links:
                if is_shown[start] and is_shown[end]:
                    ends, colour = (own[start], own[end]), (blue, green, red)
                    cv2.line(drawn, *ends, colour, width, cv2.LINE_AA)
            for joint in np.flatnonzero(is_shown):
                colour = self._colours[joint][::-1]
                place, radius = own[joint], width + 1
                cv2.circle(drawn, place, radius, colour, -1, cv2.LINE_AA)
        for index, box in enumerate(result.bboxes_xyxy):
            for number in result.track_id(index).values():
                _write_id(drawn, number, box)
        if result.keypoints_3d is not None:
            panels = draw_views(result, drawn.shape[0])
            drawn = np.hstack((drawn, panels))
        return drawn


def _write_id(image: np.ndarray, number: int, bbox_xyxy: np.ndarray) -> None:
    """Write a person's id where its box begins."""
    place = np.clip(bbox_xyxy[:2], (0, 14), image.shape[1::-1])
    font = cv2.FONT_HERSHEY_SIMPLEX
    place = tuple(place.astype(int).tolist())
    for colour, width in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(image, str(number), place, font, 0.5, colour, width)


class OverlayWriter:
    """Write drawn pictures as JPEG files and drawn videos as MP4 files."""

    def __init__(self, out_dir: str | Path, drawer: PoseDrawer) -> None:
        self._out_dir, self._drawer = Path(out_dir), drawer
        self._out_dir.mkdir(parents=True, exist_ok=True)
        self._video: cv2.VideoWriter | None = None
        self._video_name: str | None = None

    def write(self, picture: Picture, result: PoseResult, name: str) -> None:
        """Draw and write a picture, or add a frame to its video."""
        drawn = self._drawer.draw(picture.image, result)
        if picture.frame is None:
            path = self._out_dir / f'{name}.jpg'
            quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
            if not cv2.imwrite(str(path), drawn, quality):
                raise OSError(f'cannot write {path}: is the disk full?')
            return
        if self._video_name != name:
            self.close()
            path = self._out_dir / f'{name}.mp4'
            self._video = cv2.VideoWriter(
                str(path),
                cv2.VideoWriter_fourcc(*'mp4v'),
                picture.fps or DEFAULT_FPS,
                drawn.shape[1::-1],
            )
            if not self._video.isOpened():
                raise OSError(f'cannot write the video {path}')
            self._video_name = name
        self._video.write(drawn)

    def close(self) -> None:
        """End the video, which can be played only then."""
        if self._video is not None:
            self._video.release()
        self._video = self._video_name = None
