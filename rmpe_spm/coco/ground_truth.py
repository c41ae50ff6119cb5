"""Poses and annotated people of COCO files, image by image."""

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import ConfigError
from ..files import read_json
from ..oks import annotated_oks
from ..poses import bboxes_around
from .annotations import KeypointAnnotations
from .results import check_results, check_scored, is_scored


class NobodyToFind(ValueError):
    """Nobody is annotated, so there is no score."""


@dataclass
class ImageGroundTruth:
    """The annotated people of an image (G people, K keypoints), in pixels."""

    keypoints: np.ndarray  # x, y, visibility, (G, K, 3)
    bboxes_xywh: np.ndarray  # (G, 4)
    areas: np.ndarray  # (G,)
    crowd: np.ndarray  # whether each stands for many people, (G,), bool
    # (G,), where they tell who counts, not the labels: as in CrowdPose
    num_keypoints: np.ndarray | None = None

    @property
    def ignored(self) -> np.ndarray:
        """People that count neither as found nor as missed, (G,)."""
        if self.num_keypoints is not None:
            return self.crowd | (self.num_keypoints == 0)
        return self.crowd | ~(self.keypoints[..., 2] > 0).any(1)


class FlatGroundTruth:
    """The people of all images in one array; NobodyToFind without any."""

    def __init__(self, truths: Sequence[ImageGroundTruth]) -> None:
        self.counts = np.array([len(truth.areas) for truth in truths])
        self.starts = np.cumsum(self.counts) - self.counts
        keypoints = np.concatenate([truth.keypoints for truth in truths])
        self.points = keypoints[..., :2]
        self.boxes = np.concatenate([truth.bboxes_xywh for truth in truths])
        self.areas = np.concatenate([truth.areas for truth in truths])
        self.crowd = np.concatenate([truth.crowd for truth in truths])
        self.ignored = np.concatenate([truth.ignored for truth in truths])
        self.labelled = keypoints[..., 2] > 0
        self.number = int((~self.ignored).sum())
        if self.number == 0:
            raise NobodyToFind(
                'the annotations have no person with labelled keypoints'
            )

    def oks(
        self, keypoints: np.ndarray, person: np.ndarray, sigmas: np.ndarray
    ) -> np.ndarray:
        """OKS (M,) of poses (M, K, 2) with the person of each, (M,)."""
        return annotated_oks(
            keypoints,
            self.points[person],
            self.labelled[person],
            self.boxes[person],
            self.areas[person],
            sigmas,
        )


def pairs_within(
    counts: np.ndarray, starts: np.ndarray, images: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of a pose and a person of the same image, ascending.

    The images have ``counts`` (I,) people, the first of whom are at
    ``starts`` (I,); the poses are in ``images`` (T,).
    """
    numbers = counts[images]
    pose = np.repeat(np.arange(len(images)), numbers)
    first = np.cumsum(numbers) - numbers
    person = np.arange(len(pose)) - np.repeat(first - starts[images], numbers)
    return pose, person


@dataclass
class PoseSet:
    """Annotated and detected people, image by image, in pixels."""

    image_ids: list
    truths: list[ImageGroundTruth]
    keypoints: list[np.ndarray]  # the detected poses (N, K, 2)
    keypoint_scores: list[np.ndarray]  # (N, K)
    bboxes_xyxy: list[np.ndarray]  # (N, 4)
    scores: list[np.ndarray]  # (N,), of the persons
    num_unlisted: int = 0  # poses left out, in images that aren't annotated

    def subset(self, indices: Sequence[int]) -> 'PoseSet':
        """The images at these indices."""
        columns = list(vars(self).values())[:-1]
        return PoseSet(*([column[i] for i in indices] for column in columns))

    @property
    def num_poses(self) -> int:
        """Number of detected poses."""
        return sum(map(len, self.scores))


def read_pose_set(
    ann_file: str | os.PathLike,
    result_file: str | os.PathLike,
    num_keypoints: int,
    use_area: bool = True,
    iou_type: str = 'keypoints',
) -> PoseSet:
    """Read annotations and results, see :func:`make_pose_set`.

    Raises:
        FileNotFoundError: If a file doesn't exist.
        ConfigError: If a file isn't of this format, or no pose is in an
            image of the annotations or has a joint of a positive score.
    """
    annotations = KeypointAnnotations.read(ann_file)
    annotations.check_evaluation(num_keypoints, use_area, iou_type)
    results = read_json(result_file)
    check_results(results, num_keypoints, source=str(result_file))
    check_scored(results, str(result_file))
    poses = make_pose_set(
        annotations.content, results, num_keypoints, use_area, iou_type
    )
    if poses.num_poses == 0 and poses.num_unlisted:
        raise ConfigError(
            f'none of the results in {result_file} is for an image that '
            f'{ann_file} lists'
        )
    return poses


def make_pose_set(
    annotations: dict,
    results: list[dict],
    num_keypoints: int,
    use_area: bool = True,
    iou_type: str = 'keypoints',
) -> PoseSet:
    """Sort annotations and results, checked before, by image, ids ascending.

    Poses without a box get the extents of their joints. Poses without any
    joint of a positive score are left out, as COCO's evaluation does.
    ``use_area`` and ``iou_type`` are those of :func:`.evaluate_keypoints`.
    """
    people, poses = defaultdict(list), defaultdict(list)
    for annotation in annotations['annotations']:
        people[annotation['image_id']].append(annotation)
    for result in results:
        if is_scored(result):
            poses[result['image_id']].append(result)
    image_ids = sorted({image['id'] for image in annotations['images']})
    unlisted = sum(len(poses[i]) for i in poses.keys() - set(image_ids))
    columns = [_poses_of(poses[i], num_keypoints) for i in image_ids]
    truths = [
        _truth_of(people[i], num_keypoints, use_area, iou_type)
        for i in image_ids
    ]
    columns = map(list, zip(*columns, strict=True))
    return PoseSet(image_ids, truths, *columns, num_unlisted=unlisted)


def _poses_of(results: list[dict], num_keypoints: int) -> tuple:
    """Keypoints, their scores, boxes and scores of one image."""
    joints = np.array([r['keypoints'] for r in results], dtype=np.float64)
    joints = joints.reshape(len(results), num_keypoints, 3)
    points = joints[..., :2]
    boxes = bboxes_around(points, joints[..., 2])
    for index, result in enumerate(results):
        if result.get('bbox'):
            x, y, width, height = result['bbox']
            boxes[index] = x, y, x + width, y + height
    scores = np.array([r['score'] for r in results], dtype=np.float64)
    return points, joints[..., 2], boxes, scores


def _truth_of(
    people: list[dict], num_keypoints: int, use_area: bool, iou_type: str
) -> ImageGroundTruth:
    """The annotated people of one image."""
    boxes = np.array([p['bbox'] for p in people], dtype=np.float64)
    boxes = boxes.reshape(len(people), 4)
    areas = boxes[:, 2] * boxes[:, 3] * 0.53
    if use_area:
        areas = np.array([p['area'] for p in people], dtype=np.float64)
    joints = np.array([p['keypoints'] for p in people], dtype=np.float64)
    numbers = None
    if iou_type == 'keypoints_crowd':
        numbers = np.array([p['num_keypoints'] for p in people], dtype=int)
    return ImageGroundTruth(
        joints.reshape(len(people), num_keypoints, 3),
        boxes,
        areas,
        np.array([p.get('iscrowd', 0) for p in people], dtype=bool),
        numbers,
    )
