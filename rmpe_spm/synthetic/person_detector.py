"""What a weak person detector would find in a generated picture."""

import numpy as np
from mmpose.evaluation.functional import nms

from .figure import Figure
from .scene import Scene

# Boxes of one person that the detector's own NMS leaves, as with YOLOX-nano.
NMS_IOU = 0.65
MIN_SCORE = 0.02


def limb_reach(figure: Figure, bbox_xyxy: np.ndarray) -> np.ndarray:
    """Pixels (4,) from the sides of the seen box inwards to head and trunk."""
    core = np.asarray(figure.core)
    inwards = np.array([1, 1, -1, -1])
    size = bbox_xyxy[2:] - bbox_xyxy[:2]
    return np.clip((core - bbox_xyxy) * inwards, 0, np.tile(size, 2))


def _person_boxes(rng, figure, bbox_xyxy, seen_share):
    """Boxes of a person and their scores, best first."""
    size = bbox_xyxy[2:] - bbox_xyxy[:2]
    side = float(np.sqrt(size.prod()))
    found = 0.98 - 0.75 * np.exp(-side / 22) - 0.6 * max(0.45 - seen_share, 0)
    if rng.random() > found:
        return np.zeros((0, 5))
    count = 1 + int(rng.poisson(1.6))
    reach = limb_reach(figure, bbox_xyxy)
    # Limbs that stick out are lost, legs less than arms: a share of the
    # reach, different for each side, much the same for all of one person's
    # boxes; noise on top.
    lost = rng.beta(0.9, (2.6, 2.2, 2.6, 4.0))
    lost = np.clip(lost + rng.normal(0, 0.08, (count, 4)), 0, 1)
    noise = rng.normal(0, 1, (count, 4)) * (0.045 + 1.2 / max(side, 12))
    spread = 1 + 0.7 * np.arange(count)[:, None]
    shift = lost * reach * (1, 1, -1, -1)
    boxes = bbox_xyxy + shift + noise * spread * np.tile(size, 2)
    if rng.random() < 0.10 and size[1] > 60:  # the upper half alone
        boxes[-1, 3] = boxes[-1, 1] + rng.uniform(0.4, 0.65) * size[1]
    error = np.abs(boxes - bbox_xyxy).sum(1) / size.sum()
    quality = 2.6 - 4.5 * error - 30 / (side + 8) + 1.5 * (seen_share - 1)
    logits = quality - 0.35 * np.arange(count) + rng.normal(0, 0.7, count)
    scores = 1 / (1 + np.exp(-logits))
    return np.concatenate([boxes, scores[:, None]], 1)


def _false_boxes(rng, image_size):
    count = int(rng.poisson(0.8))
    height = np.exp(rng.uniform(np.log(25), np.log(300), count))
    width = height * rng.uniform(0.25, 1.1, count)
    centre = rng.uniform(0, image_size, (count, 2))
    half = np.stack([width, height], 1) / 2
    scores = rng.beta(1.1, 7, count)[:, None]
    return np.concatenate([centre - half, centre + half, scores], 1)


def _merged_boxes(rng, boxes):
    """Boxes around two people who overlap."""
    merged = []
    for i in range(len(boxes)):
        for j in range(i):
            low = np.maximum(boxes[i, :2], boxes[j, :2])
            high = np.minimum(boxes[i, 2:], boxes[j, 2:])
            if (high - low > 4).all() and rng.random() < 0.15:
                around = np.concatenate(
                    [
                        np.minimum(boxes[i, :2], boxes[j, :2]),
                        np.maximum(boxes[i, 2:], boxes[j, 2:]),
                    ]
                )
                merged.append([*around, rng.uniform(0.1, 0.55)])
    return np.reshape(merged, (-1, 5))


def simulate_detections(
    rng: np.random.Generator, scene: Scene, bboxes_xywh: dict[int, list]
) -> np.ndarray:
    """Boxes as a weak detector gives them: x1, y1, x2, y2, score, (N, 5).

    More surely of large, well seen people; sides with limbs that stick out are
    drawn in, so that errors depend on the pose; scores fall with the error.
    False positives, boxes around two people and halves are among them.
    """
    height, width = scene.owners.shape
    groups = [_false_boxes(rng, (width, height))]
    truth = []
    for index, bbox in bboxes_xywh.items():
        bbox_xyxy = np.array([*bbox[:2], bbox[0] + bbox[2], bbox[1] + bbox[3]],
                             float)  # fmt: skip
        truth.append(bbox_xyxy)
        figure = scene.people[index]
        whole = max(int((figure.parts > 0).sum()), 1)
        seen = int((scene.owners == index + 1).sum())
        groups.append(_person_boxes(rng, figure, bbox_xyxy, seen / whole))
    if truth:
        groups.append(_merged_boxes(rng, np.array(truth)))
    boxes = np.concatenate(groups)
    boxes[:, :4] = np.clip(boxes[:, :4], 0, [width, height, width, height])
    sides = boxes[:, 2:4] - boxes[:, :2]
    boxes = boxes[(sides.min(1) >= 6) & (boxes[:, 4] >= MIN_SCORE)]
    if not len(boxes):
        return boxes
    boxes = boxes[np.argsort(-boxes[:, 4], kind='stable')]
    return boxes[nms(boxes, NMS_IOU)]
