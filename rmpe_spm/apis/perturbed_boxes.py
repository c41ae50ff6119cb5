"""Boxes with errors of a given kind and size, as mmpose's ``bbox_file``."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

from ..datasets.pgpg_matching import (
    clip_to_image,
    match_detections,
    pairwise_iou,
)
from ..structures.box_errors import (
    amplify_errors,
    scale_boxes,
    shift_boxes,
    truncate_boxes,
)
from ..structures.box_proposals import is_usable_bbox

DRAWN_ERRORS = {
    'shift': shift_boxes,
    'scale': scale_boxes,
    'truncation': truncate_boxes,
}
AMPLIFICATION = 'amplification'
ERROR_KINDS = (*DRAWN_ERRORS, AMPLIFICATION)


def perturb_boxes(
    annotations: Mapping[str, Any],
    kind: str,
    size: float,
    detections: list[dict[str, Any]] | None = None,
    seed: int = 0,
    min_iou: float = 0.5,
) -> list[dict[str, Any]]:
    """Give the annotated or the detected boxes errors of one size.

    ``'shift'``, ``'scale'`` and ``'truncation'`` move the annotated boxes of
    the people that mmpose would evaluate on annotated boxes (with keypoints,
    no crowds; clipped to the image, score 1), so that a size of 0 is the
    oracle. See :mod:`rmpe_spm.structures.box_errors` for the sizes.

    ``'amplification'`` multiplies the errors of the detections by ``size``.
    Detections are matched one to one with annotated people, the best score
    first, at an IoU of at least ``min_iou``. One that is left over, but
    overlaps a person as much, is a redundant detection of that person and
    moves with the others, since it would stand in for them otherwise.
    The rest, false positives, stay. Order and scores stay, too.

    Detections of images that the annotations do not list, and boxes that are
    empty, not finite or outside their image are left out. An image without a
    width and height clips nothing.

    Args:
        annotations (Mapping): The content of a COCO keypoint file.
        kind (str): One of ``ERROR_KINDS``.
        size (float): The size of the error; a factor for
            ``'amplification'``.
        detections (list, optional): The content of a COCO results file with
            person boxes, for ``'amplification'`` only. Defaults to None.
        seed (int): The seed of the directions. Defaults to 0.
        min_iou (float): The smallest IoU of a detection with its person.
            Defaults to 0.5.

    Returns:
        list[dict]: ``image_id``, ``category_id``, ``bbox`` (xywh in pixels)
        and ``score`` of each box: the content of a ``bbox_file``.

    Raises:
        ValueError: The kind is unknown, there are no detections where they
            are needed or some where they are not, or the size is out of
            range.
    """
    if kind not in ERROR_KINDS:
        raise ValueError(
            f'unknown kind of box error {kind!r}: choose from '
            f'{", ".join(ERROR_KINDS)}'
        )
    if (kind == AMPLIFICATION) != (detections is not None):
        raise ValueError(
            'detections are needed for amplification and only there; the '
            f'kind is {kind!r}'
        )
    sizes = {
        image['id']: (image.get('width', inf), image.get('height', inf))
        for image in annotations['images']
    }
    people = [
        (person, _clipped(person['bbox'], sizes[person['image_id']]))
        for person in annotations['annotations']
        if not person.get('iscrowd', 0) and person['image_id'] in sizes
    ]
    people = [
        (person, box)
        for person, box in people
        if is_usable_bbox(box, sizes[person['image_id']])
    ]
    if kind == AMPLIFICATION:
        return _amplified(people, sizes, detections, size, min_iou)
    people = [each for each in people if _is_evaluated(each[0])]
    boxes = np.array([box for _, box in people]).reshape(-1, 4)
    rng = np.random.default_rng(seed)
    return [
        _entry(person['image_id'], person['category_id'], box, 1.0)
        for (person, _), box in zip(
            people, DRAWN_ERRORS[kind](boxes, size, rng), strict=True
        )
    ]


def write_perturbed_boxes(
    out_file: str | Path,
    annotations: Mapping[str, Any],
    kind: str,
    size: float,
    bbox_file: str | Path | None = None,
    seed: int = 0,
    min_iou: float = 0.5,
) -> Path:
    """Write what :func:`perturb_boxes` makes.

    Args:
        out_file (str | Path): The file to write; its folder is made.
        annotations (Mapping): The content of a COCO keypoint file.
        kind (str): One of ``ERROR_KINDS``.
        size (float): The size of the error.
        bbox_file (str | Path, optional): Person detections, COCO results;
            for ``'amplification'`` only. Defaults to None.
        seed (int): The seed of the directions. Defaults to 0.
        min_iou (float): The smallest IoU of a match. Defaults to 0.5.

    Returns:
        Path: The written file, for a data set's ``bbox_file``.

    Raises:
        ValueError: As :func:`perturb_boxes`.
    """
    detections = bbox_file and json.loads(Path(bbox_file).read_bytes())
    boxes = perturb_boxes(annotations, kind, size, detections, seed, min_iou)
    out_file = Path(out_file)
    out_file.parent.mkdir(parents=True, exist_ok=True)
    out_file.write_text(json.dumps(boxes), encoding='utf-8')
    return out_file


def _clipped(
    bbox_xywh: Sequence[float], image_size: tuple[float, float]
) -> tuple[float, ...]:
    """The box as xyxy, within its image if that has a size."""
    if inf in image_size:
        x, y, w, h = bbox_xywh
        return x, y, x + w, y + h
    return clip_to_image(bbox_xywh, image_size)


def _is_evaluated(person: Mapping[str, Any]) -> bool:
    """Whether mmpose's data sets keep a person in top-down mode."""
    keypoints = person.get('keypoints') or []
    places = [v for i, v in enumerate(keypoints) if i % 3 < 2]
    count = person.get('num_keypoints', sum(v > 0 for v in keypoints[2::3]))
    return count > 0 and max(places, default=0) > 0


def _amplified(
    people: list[tuple[Mapping, tuple]],
    sizes: Mapping[int, tuple[int, int]],
    detections: list[dict],
    factor: float,
    min_iou: float,
) -> list[dict]:
    """Return the detections with their errors multiplied."""
    by_image = defaultdict(list)
    for person, box in people:
        by_image[person['image_id']].append(box)
    usable = []
    for detection in detections:
        x, y, w, h = detection['bbox'][:4]
        size = sizes.get(detection['image_id'])
        if size and is_usable_bbox((x, y, x + w, y + h), size):
            usable.append((detection, (x, y, x + w, y + h)))
    groups = defaultdict(list)
    for index, (detection, _) in enumerate(usable):
        groups[detection['image_id']].append(index)
    entries = [dict(detection) for detection, _ in usable]
    for image_id, indices in groups.items():
        annotated = np.array(by_image[image_id]).reshape(-1, 4)
        detected = np.array([usable[i][1] for i in indices])
        scores = np.array([usable[i][0]['score'] for i in indices])
        owners = _owners(annotated, detected, scores, min_iou)
        owned = np.flatnonzero(owners >= 0)
        moved = amplify_errors(
            annotated[owners[owned]], detected[owned], factor
        )
        for position, box in zip(owned, moved, strict=True):
            entry = entries[indices[position]]
            entry['bbox'] = _as_xywh(box)
    return entries


def _owners(
    annotated: np.ndarray,
    detected: np.ndarray,
    scores: np.ndarray,
    min_iou: float,
) -> np.ndarray:
    """The person (M,) that each detection shows, -1 for none."""
    if not len(annotated):
        return np.full(len(detected), -1)
    matches = match_detections(annotated, detected, scores, min_iou)
    ious = pairwise_iou(detected, annotated)
    owners = np.where(ious.max(axis=1) >= min_iou, ious.argmax(axis=1), -1)
    matched = matches >= 0
    owners[matches[matched]] = np.flatnonzero(matched)
    return owners


def _entry(
    image_id: int, category_id: int, bbox_xyxy: np.ndarray, score: float
) -> dict[str, Any]:
    return dict(
        image_id=image_id,
        category_id=category_id,
        bbox=_as_xywh(bbox_xyxy),
        score=score,
    )


def _as_xywh(bbox_xyxy: np.ndarray) -> list[float]:
    x0, y0, x1, y1 = bbox_xyxy.tolist()
    return [x0, y0, x1 - x0, y1 - y0]
