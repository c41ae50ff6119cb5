"""COCO annotations of the people in a generated picture."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..files import write_atomically
from .figure import KEYPOINT_NAMES, Figure
from .scene import Scene

# Smaller ones (pixels seen) are annotated without keypoints, as in COCO.
MIN_AREA_WITH_KEYPOINTS = 250

# Less of a person than this is not annotated at all.
MIN_AREA = 30

# A covered joint farther than this from all that is seen of its person
# (fraction of the stature) is not labelled: nobody could tell where it is.
MAX_GUESS_DISTANCE = 0.12
SKELETON = (
    (16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13),
    (6, 7), (6, 8), (7, 9), (8, 10), (9, 11), (2, 3), (1, 2), (1, 3), (2, 4),
    (3, 5), (4, 6), (5, 7),
)  # fmt: skip
PERSON_CATEGORY = {
    'id': 1,
    'name': 'person',
    'supercategory': 'person',
    'keypoints': list(KEYPOINT_NAMES),
    'skeleton': [list(pair) for pair in SKELETON],
}


def visible_mask(scene: Scene, index: int) -> np.ndarray:
    """What is seen of a person, bool (h, w), within the figure's window."""
    figure = scene.people[index]
    height, width = figure.parts.shape
    window = scene.owners[
        figure.y : figure.y + height, figure.x : figure.x + width
    ]
    return window == index + 1


def keypoint_visibility(figure: Figure, seen: np.ndarray) -> np.ndarray:
    """COCO's visibility flags (17,) of a figure's keypoints.

    2 is seen: the part of the body that carries the keypoint is seen there or
    at two of four points around. 1 is covered, 0 outside the frame, or too far
    from all that is seen of the person (``seen``, its window) to be guessed.
    """
    if not seen.any():
        return np.zeros(len(figure.keypoints), int)
    height, width = seen.shape
    offsets = np.array([(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)]) * 0.5
    points = figure.keypoints[:, None] - (figure.x, figure.y)
    points = np.rint(points + offsets * figure.radii[:, None, None])
    x, y = points[..., 0].astype(int), points[..., 1].astype(int)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    labels = np.where(inside & seen[y, x], figure.parts[y, x], 0)
    rows = np.arange(len(labels))[:, None]
    hits = (labels > 0) & figure.own_parts[rows, np.minimum(labels, 63)]
    own = hits[:, 0] | (hits[:, 1:].sum(1) >= 2)

    distance = cv2.distanceTransform(
        (~seen).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_3
    )
    near = distance[y[:, 0], x[:, 0]] <= MAX_GUESS_DISTANCE * figure.stature
    return np.where(own, 2, np.where(near & inside[:, 0], 1, 0))


def person_annotation(scene: Scene, index: int) -> dict[str, Any] | None:
    """A person's annotation without ids, None where too little is seen."""
    figure = scene.people[index]
    seen, polygons = _outline(visible_mask(scene, index), (figure.x, figure.y))
    area = int(seen.sum())
    if not polygons or area < MIN_AREA:
        return None
    x, y, w, h = cv2.boundingRect(seen.astype(np.uint8))
    flags = np.zeros(len(KEYPOINT_NAMES), int)
    if area >= MIN_AREA_WITH_KEYPOINTS:
        frame = np.array(scene.image.shape[1::-1]) - 1
        inside = (figure.keypoints >= 0) & (figure.keypoints <= frame)
        flags = keypoint_visibility(figure, seen) * inside.all(1)
    triples = np.zeros((len(flags), 3))
    triples[flags > 0, :2] = figure.keypoints[flags > 0].round(1)
    triples[:, 2] = flags
    return {
        'category_id': 1,
        'iscrowd': 0,
        'bbox': [int(figure.x + x), int(figure.y + y), int(w), int(h)],
        'area': area,
        'segmentation': polygons,
        'num_keypoints': int((flags > 0).sum()),
        # whole numbers without a decimal point, as in COCO
        'keypoints': [
            int(value) if value == int(value) else float(value)
            for value in triples.ravel()
        ],
    }


def _outline(
    seen: np.ndarray, offset: tuple[int, int]
) -> tuple[np.ndarray, list[list[float]]]:
    """What is seen without specks, which would widen the box, and polygons."""
    # Contours run through pixel centres, half a pixel inside the outline: a
    # quarter of one at twice the size.
    double = np.repeat(np.repeat(seen.astype(np.uint8), 2, 0), 2, 1)
    contours, _ = cv2.findContours(
        double, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    polygons, specks = [], []
    for contour in contours:
        points = cv2.approxPolyDP(contour, 1.0, True)[:, 0]
        if cv2.contourArea(contour) < 12 or len(points) < 3:
            specks.append(contour)
            continue
        points = (points + 0.5) / 2 + offset
        polygons.append(points.round(1).ravel().tolist())
    if specks:
        cv2.drawContours(double, specks, -1, 0, cv2.FILLED)
        seen = double[::2, ::2] > 0
    return seen, polygons


def crowd_annotation(scene: Scene) -> dict[str, Any] | None:
    """One ``iscrowd`` region (RLE) around the crowd, if there is one."""
    members = np.flatnonzero(scene.in_crowd)
    if not len(members):
        return None
    table = np.zeros(256, np.uint8)
    table[members + 1] = 1
    mask = cv2.LUT(scene.owners, table)
    if mask.sum() < MIN_AREA:
        return None
    x, y, w, h = cv2.boundingRect(mask)
    # The gaps between the members belong to the region.
    kernel = np.ones((9, 9), np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, kernel)
    mask[(scene.owners > 0) & (table[scene.owners] == 0)] = 0
    return {
        'category_id': 1,
        'iscrowd': 1,
        'bbox': [int(x), int(y), int(w), int(h)],
        'area': int(mask.sum()),
        'segmentation': encode_rle(mask),
        'num_keypoints': 0,
        'keypoints': [0] * (3 * len(KEYPOINT_NAMES)),
    }


def encode_rle(mask: np.ndarray) -> dict[str, list[int]]:
    """COCO's uncompressed run lengths of a mask (h, w), down the columns."""
    flat = np.asarray(mask, np.uint8).ravel(order='F')
    changes = np.flatnonzero(np.diff(flat)) + 1
    ends = np.concatenate([[0], changes, [flat.size]])
    counts = np.diff(ends).tolist()
    if flat[0]:
        counts.insert(0, 0)
    return {'counts': counts, 'size': list(mask.shape)}


def scene_annotations(scene: Scene) -> list[tuple[int | None, dict]]:
    """All annotations without ids, each with its place in ``scene.people``."""
    pairs = []
    for index, in_crowd in enumerate(scene.in_crowd):
        if not in_crowd:
            pairs.append((index, person_annotation(scene, index)))
    pairs.append((None, crowd_annotation(scene)))
    return [(index, found) for index, found in pairs if found is not None]


def write_annotations(
    path: Path, images: list[dict], people: list[dict], **info: Any
) -> None:
    """Write a file in COCO's layout; people get their ids, from 1."""
    annotations = [{'id': n, **each} for n, each in enumerate(people, 1)]
    content = dict(
        info,
        images=images,
        annotations=annotations,
        categories=[PERSON_CATEGORY],
    )
    write_atomically(path, json.dumps(content))
