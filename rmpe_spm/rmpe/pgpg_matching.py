"""Match a detector's results with annotated people, for PGPG.

The boxes of both are clipped to the image as mmpose's data sets clip them;
:mod:`.pgpg_fitting` fits the offsets between them.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .proposals import bbox_offsets, is_usable_bbox


@dataclass
class MatchedPeople:
    """N annotated people and the offsets of their detected boxes."""

    keypoint_names: list[str]  # of the K joints
    keypoints: np.ndarray  # (N, K, 2), in pixels
    visible: np.ndarray  # (N, K), bool: which are annotated
    offsets: np.ndarray  # (N, 4), of the matched detection, else NaN
    counts: dict[str, int] = field(default_factory=dict)  # and left out why


def match_people(
    annotations: dict[str, Any],
    detections: list[dict[str, Any]],
    min_iou: float = 0.5,
    score_thr: float = 0.1,
) -> MatchedPeople:
    """Match a detector's results with the people of COCO annotations.

    Crowd regions take no part. People without keypoints are matched, so
    that their detections do not go to a neighbour, and left out then.

    Raises:
        ValueError: If a file has not the form of COCO's; the message names
            the entry.
    """
    category_id, names = _person_category(annotations)
    images = annotations['images']
    sizes = {each['id']: (each['width'], each['height']) for each in images}
    people = {image_id: [] for image_id in sizes}
    for annotation in annotations['annotations']:
        is_person = annotation['category_id'] == category_id
        if is_person and not annotation.get('iscrowd', 0):
            people.get(annotation['image_id'], []).append(annotation)
    counts = Counter(
        images=len(sizes),
        people=sum(map(len, people.values())),
        detections=len(detections),
        matched_people=0,
    )
    detected = _group_detections(
        detections, category_id, sizes, score_thr, counts
    )
    keypoints, visible, offsets = [], [], []
    for image_id, members in people.items():
        usable = []
        for person in members:
            box = clip_to_image(person['bbox'], sizes[image_id])
            if is_usable_bbox(box, sizes[image_id]):
                usable.append((person, box))
            else:
                counts['people_with_unusable_boxes'] += 1
        boxes_and_scores = np.array(detected[image_id]).reshape(-1, 5)
        matches = match_detections(
            np.array([box for _, box in usable]).reshape(-1, 4),
            boxes_and_scores[:, :4],
            boxes_and_scores[:, 4],
            min_iou,
        )
        for (person, box), match in zip(usable, matches, strict=True):
            pose = np.array(person.get('keypoints', []), dtype=np.float64)
            if pose.size not in (0, 3 * len(names)):
                raise ValueError(
                    f'annotation {person["id"]} of image {image_id} has '
                    f'{pose.size} keypoint numbers, not {3 * len(names)}'
                )
            pose = pose.reshape(-1, 3)
            if not (pose[:, 2] > 0).any():
                counts['people_without_keypoints'] += 1
                continue
            keypoints.append(pose[:, :2])
            visible.append(pose[:, 2] > 0)
            if match < 0:
                offsets.append((np.nan,) * 4)
            else:
                counts['matched_people'] += 1
                offsets.append(bbox_offsets(box, boxes_and_scores[match, :4]))
    return MatchedPeople(
        keypoint_names=names,
        keypoints=np.array(keypoints).reshape(-1, len(names), 2),
        visible=np.array(visible, dtype=bool).reshape(-1, len(names)),
        offsets=np.array(offsets).reshape(-1, 4),
        counts=dict(counts),
    )


def _person_category(annotations: Any) -> tuple[int, list[str]]:
    missing = {'images', 'annotations', 'categories'} - set(annotations)
    for category in [] if missing else annotations['categories']:
        if category.get('keypoints'):
            return category['id'], category['keypoints']
    raise ValueError(
        f'the annotations have no {missing or "category with keypoints"}'
    )


def _group_detections(
    detections: Any,
    category_id: int,
    sizes: dict,
    score_thr: float,
    counts: Counter,
) -> dict[int, list]:
    """Boxes (xyxy, clipped) and score of each image; counts the rest."""
    grouped = defaultdict(list)
    for index, detection in enumerate(detections):
        try:
            image_id = detection['image_id']
            score = float(detection['score'])
            x, y, w, h = map(float, detection['bbox'])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f'entry {index} of the detections has no valid image_id, '
                f'score and bbox (xywh): {detection}'
            ) from error
        if image_id not in sizes:
            counts['detections_of_unlisted_images'] += 1
        elif detection.get('category_id', category_id) != category_id:
            counts['detections_of_other_categories'] += 1
        elif not score >= score_thr:
            counts['detections_below_score'] += 1
        else:
            box = clip_to_image((x, y, w, h), sizes[image_id])
            if is_usable_bbox(box, sizes[image_id]):
                grouped[image_id].append((*box, score))
            else:
                counts['detections_with_unusable_boxes'] += 1
    return grouped


def clip_to_image(
    bbox_xywh: Sequence[float], image_size: tuple[int, int]
) -> tuple[float, ...]:
    """Clip a box in COCO's xywh as mmpose's data sets do, to xyxy."""
    x, y, w, h = bbox_xywh
    limits = (image_size[0] - 1, image_size[1] - 1) * 2
    # Not min and max, which lose a NaN.
    return tuple(np.clip((x, y, x + w, y + h), 0, limits).tolist())


def match_detections(
    bboxes_xyxy: np.ndarray,
    detections_xyxy: np.ndarray,
    scores: np.ndarray,
    min_iou: float = 0.5,
) -> np.ndarray:
    """Match detections (M, 4) with boxes (N, 4) one to one: (N,), or -1.

    Each detection in the order of its score takes the annotated box with
    which it has the largest IoU among those that are still free, as COCO's
    evaluation does. An assignment of the largest total IoU would take the
    best placed of several redundant boxes, which makes the detector look
    better than the boxes that it puts forward.
    """
    matches = np.full(len(bboxes_xyxy), -1)
    if not len(bboxes_xyxy) or not len(detections_xyxy):
        return matches
    ious = pairwise_iou(detections_xyxy, bboxes_xyxy)
    for index in np.argsort(-np.asarray(scores), kind='stable'):
        free_ious = np.where(matches < 0, ious[index], -1.0)
        best = free_ious.argmax()
        if free_ious[best] >= min_iou:
            matches[best] = index
    return matches


def pairwise_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the IoU (N, M) of boxes (N, 4) and (M, 4), xyxy, none empty."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    inner = np.clip(high - low, 0, None).prod(axis=2)
    first_area = np.prod(first[:, 2:] - first[:, :2], axis=1)
    second_area = np.prod(second[:, 2:] - second[:, :2], axis=1)
    return inner / (first_area[:, None] + second_area[None] - inner)
