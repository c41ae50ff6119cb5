r"""The geometry of proposals: offsets of a box's sides, patches, clipping.

A *proposal* is a box that takes the place of the annotated one in training.
*Offsets* are how far its four sides lie from the annotated ones, in units of
the annotated width and height, positive to the right and down (RMPE, section
3.3):

.. math::
    x_0' = x_0 + d_0 w, \quad y_0' = y_0 + d_1 h, \quad
    x_1' = x_1 + d_2 w, \quad y_1' = y_1 + d_3 h

Convention: boxes are ``(x0, y0, x1, y1)`` in pixels of the image with
``x0 < x1`` and ``y0 < y1``. A box is inside an image of size ``(w, h)`` when
it lies in ``[0, w - 1] x [0, h - 1]``, the range to which mmpose's data sets
clip annotated boxes. The functions take and return plain floats: on four
numbers these are several times faster than arrays.
"""

import math

Box = tuple[float, float, float, float]


def is_usable_bbox(bbox_xyxy: Box, image_size: tuple[int, int]) -> bool:
    """Tell whether a box is finite, not empty and in its image (w, h)."""
    x0, y0, x1, y1 = bbox_xyxy
    w, h = image_size
    return (
        math.isfinite(x0 + y0 + x1 + y1)
        and (x0 < x1 and x0 < w - 1 and x1 > 0 and w > 1)
        and (y0 < y1 and y0 < h - 1 and y1 > 0 and h > 1)
    )


def clip_bbox(
    bbox_xyxy: Box, image_size: tuple[int, int], min_side: float
) -> Box:
    """Move a box into the image (w, h) and widen it to a smallest side.

    Sides that crossed one another give a box of ``min_side`` at the place of
    the upper left corner.
    """
    x0, y0, x1, y1 = bbox_xyxy
    x0, x1 = _clip_interval(x0, x1, image_size[0] - 1.0, min_side)
    y0, y1 = _clip_interval(y0, y1, image_size[1] - 1.0, min_side)
    return x0, y0, x1, y1


def _clip_interval(
    low: float, high: float, limit: float, min_length: float
) -> tuple[float, float]:
    min_length = min(min_length, limit)
    low = min(max(low, 0.0), limit - min_length)
    return low, min(max(high, low + min_length), limit)


def offset_bbox(bbox_xyxy: Box, offsets: Box) -> Box:
    """Move the sides of a box by offsets; it may become empty."""
    x0, y0, x1, y1 = bbox_xyxy
    d0, d1, d2, d3 = offsets
    w, h = x1 - x0, y1 - y0
    return x0 + d0 * w, y0 + d1 * h, x1 + d2 * w, y1 + d3 * h


def bbox_offsets(bbox_xyxy: Box, target_xyxy: Box) -> Box:
    """Return the offsets with which :func:`offset_bbox` makes the target."""
    x0, y0, x1, y1 = bbox_xyxy
    w, h = x1 - x0, y1 - y0
    t0, t1, t2, t3 = target_xyxy
    return (t0 - x0) / w, (t1 - y0) / h, (t2 - x1) / w, (t3 - y1) / h


def patch_bbox(bbox_xyxy: Box, scale: float, place: tuple) -> Box:
    """Return a part of a box with the box's own aspect ratio.

    ``scale`` is its width and height over the box's, in (0, 1], ``place``
    where it lies in the room that is left, ``(x, y)``, each in [0, 1].
    """
    x0, y0, x1, y1 = bbox_xyxy
    w, h = x1 - x0, y1 - y0
    patch_w, patch_h = scale * w, scale * h
    x0 += place[0] * (w - patch_w)
    y0 += place[1] * (h - patch_h)
    return x0, y0, x0 + patch_w, y0 + patch_h


def bbox_iou(bbox_xyxy: Box, other_xyxy: Box) -> float:
    """Return the intersection over union of two boxes, none of them empty."""
    ax0, ay0, ax1, ay1 = bbox_xyxy
    bx0, by0, bx1, by1 = other_xyxy
    inner_w = min(ax1, bx1) - max(ax0, bx0)
    inner_h = min(ay1, by1) - max(ay0, by0)
    if inner_w <= 0 or inner_h <= 0:
        return 0.0
    inner = inner_w * inner_h
    area_a = (ax1 - ax0) * (ay1 - ay0)
    area_b = (bx1 - bx0) * (by1 - by0)
    return inner / (area_a + area_b - inner)
