"""People in a camera's space, seen from the side and from above."""

import cv2
import numpy as np

from .results import PoseResult

# Which coordinates go right and down: depth goes right in both
_VIEWS = {'side': (2, 1), 'above': (2, 0)}
_PAPER, _GRID, _INK = (255, 255, 255), (225, 225, 225), (90, 90, 90)
_COLOURS = (
    (190, 90, 20), (40, 110, 230), (60, 150, 40), (160, 60, 160),
    (30, 30, 200), (150, 150, 0),
)  # fmt: skip
_MARGIN = 0.5  # metres


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
