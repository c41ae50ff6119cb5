"""Box errors: boxes of a test, moved by errors of known kinds and sizes.

An error is given to a box of the test, annotated or detected. (The boxes that
PGPG makes for training are proposals, see :mod:`rmpe_spm.rmpe.proposals`.)
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
from mmpose.registry import DATASETS
from mmpose.structures.bbox import bbox_xyxy2xywh

from ..cli.arguments import is_a
from ..errors import ConfigError
from ..files import read_json
from ..mpii.dataset import MpiiMultiPersonDataset
from ..rmpe.pgpg_fitting import clip_to_image, match_detections, pairwise_iou
from ..rmpe.proposals import is_usable_bbox

AMPLIFICATION = 'amplification'
ERROR_KINDS = ('shift', 'scale', 'truncation', AMPLIFICATION)

# Settings of a data set that do not decide who its people are.
OTHER_SETTINGS = ('bbox_file', 'filter_cfg', 'pipeline')

MIN_SIDE = 1.0  # of an amplified box, pixels
MIN_IOU = 0.5  # of a detection with its person


def shift_boxes(
    bboxes_xyxy: np.ndarray, size: float, rng: np.random.Generator
) -> np.ndarray:
    """Move each box (N, 4) by ``size * (w cos a, h sin a)``, a uniform."""
    angles = rng.uniform(0, 2 * np.pi, len(bboxes_xyxy))
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    offsets = size * directions * (bboxes_xyxy[:, 2:] - bboxes_xyxy[:, :2])
    return bboxes_xyxy + np.tile(offsets, 2)


def scale_boxes(
    bboxes_xyxy: np.ndarray, size: float, rng: np.random.Generator
) -> np.ndarray:
    """Multiply or divide each box's width and height by ``1 + size``."""
    signs = rng.choice([-1.0, 1.0], (len(bboxes_xyxy), 1))
    low, high = bboxes_xyxy[:, :2], bboxes_xyxy[:, 2:]
    halves = (high - low) / 2 * (1 + size) ** signs
    centers = (low + high) / 2
    return np.hstack([centers - halves, centers + halves])


def truncate_boxes(
    bboxes_xyxy: np.ndarray, size: float, rng: np.random.Generator
) -> np.ndarray:
    """Move one side of each box inwards by ``size`` of its width or height."""
    boxes = bboxes_xyxy.copy()
    sides = rng.integers(0, 4, len(boxes))
    inwards = np.where(sides < 2, 1.0, -1.0)
    rows, axes = np.arange(len(boxes)), sides % 2
    lengths = (boxes[:, 2:] - boxes[:, :2])[rows, axes]
    boxes[rows, sides] += inwards * size * lengths
    return boxes


def amplify_errors(
    bboxes_xyxy: np.ndarray, detections_xyxy: np.ndarray, factor: float
) -> np.ndarray:
    """Multiply the errors of detections (N, 4), side by side.

    Each side becomes ``annotated + factor * (detected - annotated)``. Where
    opposite sides come nearer to one another than ``MIN_SIDE`` pixels, or
    cross, the box keeps that length about their middle.
    """
    # As a mean, so that the factors 0 and 1 are exact.
    sides = (1 - factor) * bboxes_xyxy + factor * detections_xyxy
    middles = (sides[:, :2] + sides[:, 2:]) / 2
    narrow = np.tile(sides[:, 2:] - sides[:, :2] < MIN_SIDE, 2)
    least = np.hstack([middles - MIN_SIDE / 2, middles + MIN_SIDE / 2])
    # What is that small itself stays as it is.
    narrow &= not 0 <= factor <= 1
    return np.where(narrow, least, sides)


_DRAWN = {
    'shift': shift_boxes,
    'scale': scale_boxes,
    'truncation': truncate_boxes,
}


def check_box_error(kind: str, size: float, has_detections: bool) -> None:
    """Refuse box errors that cannot be made, by a ValueError."""
    if kind not in ERROR_KINDS:
        raise ValueError(
            f'unknown kind of box error {kind!r}: choose from '
            f'{", ".join(ERROR_KINDS)}'
        )
    if not 0 <= size < (1 if kind == 'truncation' else inf):
        raise ValueError(
            f'a box error of size {size}: it must be at least 0, and below 1 '
            'for a truncation'
        )
    if (kind == AMPLIFICATION) != has_detections:
        raise ValueError(
            f'detections are needed for {AMPLIFICATION} and only there; the '
            f'kind is {kind!r}'
        )


def perturb_boxes(
    annotations: Mapping[str, Any],
    kind: str,
    size: float,
    detections: list[dict[str, Any]] | None = None,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Give the annotated or the detected boxes errors of one size.

    ``'shift'``, ``'scale'`` and ``'truncation'`` move the annotated boxes of
    the people that mmpose would evaluate on annotated boxes, so that a size of
    0 is the oracle.

    ``'amplification'`` multiplies the errors of detections by ``size``. They
    are matched one to one with annotated people, the best score first, at an
    IoU of at least ``MIN_IOU``. One that is left over, but overlaps a person
    as much, moves with the others, since it would stand in for them otherwise.
    False positives, order and scores stay. Boxes that are empty, not finite or
    outside their image are left out.

    ``annotations`` are the content of a COCO keypoint file, ``detections`` and
    what is returned that of a ``bbox_file``.
    """
    check_box_error(kind, size, detections is not None)
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
        return _amplified(people, sizes, detections, size)
    people = [each for each in people if _is_evaluated(each[0])]
    boxes = np.array([box for _, box in people], float).reshape(-1, 4)
    moved = _DRAWN[kind](boxes, size, np.random.default_rng(seed))
    return [
        dict(
            image_id=person['image_id'],
            category_id=person['category_id'],
            bbox=box,
            score=1.0,
        )
        for (person, _), box in zip(
            people, bbox_xyxy2xywh(moved).tolist(), strict=True
        )
    ]


def read_people(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """Read the people of a test's data set, MPII's too, in COCO's layout.

    Raises:
        ConfigError: The annotations are missing or cannot be read.
    """
    try:
        if not is_a(dataset.get('type'), DATASETS, MpiiMultiPersonDataset):
            root = Path(dataset.get('data_root') or '')
            return read_json(root / dataset['ann_file'])
        mpii = {k: v for k, v in dataset.items() if k not in OTHER_SETTINGS}
        mpii = DATASETS.build(dict(mpii, data_mode='topdown'))
        people = [
            mpii.get_data_info(i)['raw_ann_info'] for i in range(len(mpii))
        ]
    except (ValueError, FileNotFoundError) as error:
        raise ConfigError(f'test_dataloader.dataset: {error}') from error
    images = dict.fromkeys(person['image_id'] for person in people)
    return dict(images=[dict(id=i) for i in images], annotations=people)


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
) -> list[dict]:
    """Return the detections with their errors multiplied."""
    annotated = defaultdict(list)
    for person, box in people:
        annotated[person['image_id']].append(box)
    entries, by_image = [], defaultdict(list)
    for detection in detections:
        x, y, w, h = detection['bbox'][:4]
        box, size = (x, y, x + w, y + h), sizes.get(detection['image_id'])
        if size and is_usable_bbox(box, size):
            entries.append(dict(detection))
            by_image[detection['image_id']].append((entries[-1], box))
    for image_id, members in by_image.items():
        truth = np.array(annotated[image_id], float).reshape(-1, 4)
        boxes = np.array([box for _, box in members], float)
        scores = np.array([entry['score'] for entry, _ in members])
        owners = _owners(truth, boxes, scores)
        owned = np.flatnonzero(owners >= 0)
        moved = amplify_errors(truth[owners[owned]], boxes[owned], factor)
        for place, box in zip(
            owned, bbox_xyxy2xywh(moved).tolist(), strict=True
        ):
            members[place][0]['bbox'] = box
    return entries


def _owners(
    annotated: np.ndarray, detected: np.ndarray, scores: np.ndarray
) -> np.ndarray:
    """The person (M,) that each detection shows, -1 for none."""
    if not len(annotated):
        return np.full(len(detected), -1)
    matches = match_detections(annotated, detected, scores, MIN_IOU)
    ious = pairwise_iou(detected, annotated)
    owners = np.where(ious.max(axis=1) >= MIN_IOU, ious.argmax(axis=1), -1)
    matched = matches >= 0
    owners[matches[matched]] = np.flatnonzero(matched)
    return owners
