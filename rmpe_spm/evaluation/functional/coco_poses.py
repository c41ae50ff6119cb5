"""Poses and annotated people from COCO JSON files, image by image."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from .keypoint_ap import ImageTruth


@dataclass
class PoseSet:
    """Detected and annotated people of a number of images.

    Attributes:
        image_ids (list): The images.
        truths (list[ImageTruth]): The annotated people of each.
        keypoints (list[np.ndarray]): Detected poses (N, K, 2), in pixels.
        keypoint_scores (list[np.ndarray]): Their scores (N, K).
        bboxes_xyxy (list[np.ndarray]): Their boxes (N, 4), in pixels.
        scores (list[np.ndarray]): Scores (N,) of the persons.
        num_unlisted (int): Poses left out because the annotations don't
            list their image.
    """

    image_ids: list
    truths: list[ImageTruth]
    keypoints: list[np.ndarray]
    keypoint_scores: list[np.ndarray]
    bboxes_xyxy: list[np.ndarray]
    scores: list[np.ndarray]
    num_unlisted: int = 0

    def subset(self, indices: Sequence[int]) -> 'PoseSet':
        """The images at these indices."""
        return PoseSet(
            *(
                [values[index] for index in indices]
                for values in (
                    self.image_ids,
                    self.truths,
                    self.keypoints,
                    self.keypoint_scores,
                    self.bboxes_xyxy,
                    self.scores,
                )
            )
        )

    @property
    def num_poses(self) -> int:
        """Number of detected poses."""
        return sum(map(len, self.scores))


def read_pose_set(
    ann_file: str | PathLike,
    result_file: str | PathLike,
    num_keypoints: int,
    use_area: bool = True,
) -> PoseSet:
    """Read annotations and results in COCO's format.

    Poses without a box get the extents of their joints. Poses without any
    joint of a positive score are left out, as COCO's evaluation does.

    Args:
        ann_file (str | PathLike): The annotations.
        result_file (str | PathLike): A list of ``image_id``, ``keypoints``
            (x, y, score of each joint), ``score`` and maybe ``bbox``.
        num_keypoints (int): K.
        use_area (bool): Whether to use the people's ``area``, or else 0.53
            of their box. Defaults to True.

    Returns:
        PoseSet: All images of the annotations, by ascending id.

    Raises:
        FileNotFoundError: If a file doesn't exist.
        ValueError: If a file isn't of this format, or no pose is in an
            image of the annotations.
    """
    annotations = _load(ann_file)
    if not isinstance(annotations, dict) or 'annotations' not in annotations:
        raise ValueError(f'{ann_file} has no COCO annotations')
    people = defaultdict(list)
    for annotation in annotations['annotations']:
        people[annotation['image_id']].append(annotation)
    image_ids = sorted({image['id'] for image in annotations['images']})

    results = _load(result_file)
    if not isinstance(results, list):
        raise ValueError(
            f'{result_file} is not a list of results as COCO has them'
        )
    poses = defaultdict(list)
    for index, result in enumerate(results):
        joints = result.get('keypoints', ())
        if len(joints) != 3 * num_keypoints or 'score' not in result:
            raise ValueError(
                f'{result_file}: result {index} (image '
                f'{result.get("image_id")}) needs a score and '
                f'{num_keypoints} times x, y and score in "keypoints", but '
                f'has {len(joints)} numbers there'
            )
        if any(value > 0 for value in joints[2::3]):
            poses[result['image_id']].append(result)
    listed = set(image_ids)
    unlisted = sum(len(v) for k, v in poses.items() if k not in listed)
    if unlisted == sum(map(len, poses.values())):
        raise ValueError(
            f'none of the results in {result_file} is for an image that '
            f'{ann_file} lists'
        )
    columns = [_poses_of(poses[i], num_keypoints) for i in image_ids]
    truths = [
        _truth_of(people[i], num_keypoints, use_area, ann_file)
        for i in image_ids
    ]
    columns = map(list, zip(*columns, strict=True))
    return PoseSet(image_ids, truths, *columns, num_unlisted=unlisted)


def _load(path: str | PathLike) -> Any:
    """Read a JSON file."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'there is no file {path}')
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f'{path} is not a JSON file: {error}') from error


def _poses_of(results: list[dict], num_keypoints: int) -> tuple:
    """Keypoints, their scores, boxes and scores of one image."""
    joints = np.array([r['keypoints'] for r in results], dtype=np.float64)
    joints = joints.reshape(len(results), num_keypoints, 3)
    points = joints[..., :2]
    boxes = np.concatenate([points.min(1), points.max(1)], 1)
    for index, result in enumerate(results):
        if result.get('bbox'):
            x, y, width, height = result['bbox']
            boxes[index] = x, y, x + width, y + height
    scores = np.array([r['score'] for r in results], dtype=np.float64)
    return points, joints[..., 2], boxes, scores


def _truth_of(
    people: list[dict],
    num_keypoints: int,
    use_area: bool,
    path: str | PathLike,
) -> ImageTruth:
    """The annotated people of one image."""
    for person in people:
        if len(person.get('keypoints', ())) != 3 * num_keypoints:
            raise ValueError(
                f'{path}: annotation {person.get("id")} has not '
                f'{num_keypoints} keypoints'
            )
        if use_area and 'area' not in person:
            raise ValueError(
                f'{path}: annotation {person.get("id")} has no area; without '
                'areas evaluate with use_area=False'
            )
    boxes = np.array([p['bbox'] for p in people], dtype=np.float64)
    boxes = boxes.reshape(len(people), 4)
    areas = 0.53 * boxes[:, 2] * boxes[:, 3]
    if use_area:
        areas = np.array([p['area'] for p in people], dtype=np.float64)
    joints = np.array([p['keypoints'] for p in people], dtype=np.float64)
    return ImageTruth(
        joints.reshape(len(people), num_keypoints, 3),
        boxes,
        areas,
        np.array([p.get('iscrowd', 0) for p in people], dtype=bool),
    )
