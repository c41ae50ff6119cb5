"""Where the boxes of a top-down model come from."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ..errors import ConfigError
from ..poses import bboxes_around
from .inputs import LOGGER, Picture
from .streaming import read_ahead

Boxed = tuple[Picture, np.ndarray, np.ndarray]


# What puts boxes to a stream of pictures.
BoxSource = Callable[[Iterable[Picture]], Iterator[Boxed]]

# sides of a body's box over those of its joints' extents
_BODY_SCALE = 1.25


class GivenBoxes:
    """Boxes that the caller gives, one array a picture.

    An array (N, 4) in xyxy, or (N, 5) with scores, of the one picture; or a
    sequence of them, in which pictures that cannot be read count.
    """

    def __init__(self, bboxes: Sequence) -> None:
        rows = (
            [bboxes] if not len(bboxes) or np.ndim(bboxes[0]) == 1 else bboxes
        )
        self._boxes = []
        for index, each in enumerate(rows):
            array = np.asarray(each, dtype=np.float32)
            array = array if array.size else array.reshape(0, 4)
            if array.ndim != 2 or array.shape[1] not in (4, 5):
                raise ConfigError(
                    f'bboxes of picture {index} have the shape {array.shape}: '
                    'give (N, 4) in xyxy, or (N, 5) with scores'
                )
            self._boxes.append(array)

    def __call__(self, pictures: Iterable[Picture]) -> Iterator[Boxed]:
        """Yield each picture with its boxes."""
        for picture in read_ahead(pictures):
            if picture.index >= len(self._boxes):
                raise ConfigError(
                    f'bboxes has boxes of {len(self._boxes)} pictures, but '
                    f'none of {picture}: give one array a picture'
                )
            boxes = self._boxes[picture.index]
            scores = np.ones(len(boxes), np.float32)
            if boxes.shape[1] == 5:
                scores = boxes[:, 4]
            yield clean_boxes(picture, boxes[:, :4], scores)


def poses_as_boxes(
    inferencer: Any, pictures: Iterable[Picture]
) -> Iterator[Boxed]:
    """Yield each picture with boxes around another model's poses in it."""
    for picture, result in inferencer.with_pictures(pictures):
        boxes = body_boxes(result.keypoints, result.keypoint_scores)
        yield clean_boxes(picture, boxes, result.scores)


def body_boxes(
    keypoints: np.ndarray, keypoint_scores: np.ndarray
) -> np.ndarray:
    """Boxes (N, 4) in xyxy around bodies, which reach beyond their joints."""
    boxes = bboxes_around(keypoints, keypoint_scores)
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    halves = (boxes[:, 2:] - boxes[:, :2]) / 2 * _BODY_SCALE
    halves = np.maximum(halves, 0.5)  # of joints on one line
    return np.concatenate((centers - halves, centers + halves), 1)


def clean_boxes(
    picture: Picture, bboxes_xyxy: np.ndarray, scores: np.ndarray
) -> Boxed:
    """Leave out boxes in which there can be nobody, and say so."""
    low, high = bboxes_xyxy[:, :2], bboxes_xyxy[:, 2:]
    good = np.isfinite(bboxes_xyxy).all(1) & np.isfinite(scores)
    good &= (high > low).all(1)
    good &= (high > 0).all(1) & (low < picture.size).all(1)
    if not good.all():
        first = np.flatnonzero(~good)[0]
        LOGGER.warning(
            f'{picture}: {(~good).sum()} of {len(good)} boxes are '
            'left out, for they are not finite, empty or outside the picture '
            f'(the first: {bboxes_xyxy[first].tolist()})'
        )
    return picture, bboxes_xyxy[good], scores[good]
