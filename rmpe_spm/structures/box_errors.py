"""Box errors of a given size, to measure how much a model forgives.

Convention: boxes are (N, 4) arrays ``x0, y0, x1, y1`` in pixels with
``x0 < x1`` and ``y0 < y1``; offsets are in units of the box's own width (x)
or height (y). Directions are drawn from a passed generator, one draw a box
whatever the size of the error, so that with equal seeds the same box goes in
the same direction, further. Results are float64, never empty, and may lie
partly or wholly outside of the image.

:mod:`rmpe_spm.structures.box_proposals` is for training: there the size of
the error is what is drawn.
"""

import numpy as np

MIN_SIDE = 1.0


def shift_boxes(
    bboxes_xyxy: np.ndarray, size: float, rng: np.random.Generator
) -> np.ndarray:
    """Move each box into a random direction.

    The centre moves by ``size * (w cos a, h sin a)`` with ``a`` uniform in
    ``[0, 2 pi)``; the box keeps its width and height.

    Args:
        bboxes_xyxy (np.ndarray): Boxes (N, 4) in pixels.
        size (float): The shift over the box's width and height, at least 0.
        rng (np.random.Generator): The source of the directions.

    Returns:
        np.ndarray: The shifted boxes (N, 4).

    Raises:
        ValueError: The boxes are not (N, 4), finite and filled, or the size
            is negative.
    """
    boxes = _checked(bboxes_xyxy, size)
    angles = rng.uniform(0, 2 * np.pi, len(boxes))
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    offsets = size * directions * (boxes[:, 2:] - boxes[:, :2])
    return boxes + np.tile(offsets, 2)


def scale_boxes(
    bboxes_xyxy: np.ndarray, size: float, rng: np.random.Generator
) -> np.ndarray:
    """Enlarge or shrink each box about its centre, at random.

    Width and height are both multiplied by ``1 + size`` or both divided by
    it, which are equally far from the box.

    Args:
        bboxes_xyxy (np.ndarray): Boxes (N, 4) in pixels.
        size (float): How much the larger of two sides exceeds the other, at
            least 0.
        rng (np.random.Generator): The source of the directions.

    Returns:
        np.ndarray: The scaled boxes (N, 4).

    Raises:
        ValueError: As :func:`shift_boxes`.
    """
    boxes = _checked(bboxes_xyxy, size)
    signs = rng.choice([-1.0, 1.0], (len(boxes), 1))
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    halves = (boxes[:, 2:] - boxes[:, :2]) / 2 * (1 + size) ** signs
    return np.hstack([centers - halves, centers + halves])


def truncate_boxes(
    bboxes_xyxy: np.ndarray, size: float, rng: np.random.Generator
) -> np.ndarray:
    """Cut a part off each box, on a side that is drawn.

    Left, top, right and bottom are equally likely; the side moves inwards by
    ``size`` of the width or height.

    Args:
        bboxes_xyxy (np.ndarray): Boxes (N, 4) in pixels.
        size (float): The part that is cut off, in ``[0, 1)``.
        rng (np.random.Generator): The source of the directions.

    Returns:
        np.ndarray: The truncated boxes (N, 4).

    Raises:
        ValueError: As :func:`shift_boxes`, or the size is not below 1.
    """
    boxes = _checked(bboxes_xyxy, size)
    if size >= 1:
        raise ValueError(f'a truncation of {size} would leave nothing')
    sides = rng.integers(0, 4, len(boxes))
    inwards = np.where(sides < 2, 1.0, -1.0)
    rows, axes = np.arange(len(boxes)), sides % 2
    lengths = (boxes[:, 2:] - boxes[:, :2])[rows, axes]
    boxes[rows, sides] += inwards * size * lengths
    return boxes


def amplify_errors(
    bboxes_xyxy: np.ndarray, detections_xyxy: np.ndarray, factor: float
) -> np.ndarray:
    """Multiply the errors of detections, side by side.

    Each side becomes ``annotated + factor * (detected - annotated)``: factor
    0 is the annotated box, 1 the detection, 2 doubles the error. Where
    opposite sides come nearer to one another than ``MIN_SIDE`` pixels, or
    cross, the box keeps that length about their middle.

    Args:
        bboxes_xyxy (np.ndarray): Annotated boxes (N, 4) in pixels.
        detections_xyxy (np.ndarray): The detection of each (N, 4).
        factor (float): What the errors are multiplied by, at least 0.

    Returns:
        np.ndarray: The boxes (N, 4).

    Raises:
        ValueError: As :func:`shift_boxes`, or the numbers of boxes differ.
    """
    boxes = _checked(bboxes_xyxy, factor)
    detections = _checked(detections_xyxy, factor)
    if len(boxes) != len(detections):
        raise ValueError(
            f'{len(boxes)} annotated boxes do not pair with '
            f'{len(detections)} detections'
        )
    # As a mean, so that the factors 0 and 1 are exact.
    sides = (1 - factor) * boxes + factor * detections
    middles = (sides[:, :2] + sides[:, 2:]) / 2
    narrow = np.tile(sides[:, 2:] - sides[:, :2] < MIN_SIDE, 2)
    least = np.hstack([middles - MIN_SIDE / 2, middles + MIN_SIDE / 2])
    # What is that small itself stays as it is.
    narrow &= not 0 <= factor <= 1
    return np.where(narrow, least, sides)


def _checked(bboxes_xyxy: np.ndarray, size: float) -> np.ndarray:
    """Return the boxes as a new float64 array; refuse what is no box."""
    boxes = np.array(bboxes_xyxy, dtype=np.float64)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f'boxes must be (N, 4), not {boxes.shape}')
    with np.errstate(invalid='ignore'):
        bad = ~(boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    bad |= ~np.isfinite(boxes).all(axis=1)
    if bad.any():
        index = int(bad.argmax())
        raise ValueError(
            f'box {index} (xyxy) is empty or not finite: '
            f'{boxes[index].tolist()}'
        )
    if not 0 <= size < np.inf:
        raise ValueError(f'the size of an error must be at least 0: {size}')
    return boxes
