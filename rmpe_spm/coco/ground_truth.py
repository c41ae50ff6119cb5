"""Poses and annotated people of COCO files, image by image."""

import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ..errors import ConfigError
from ..files import read_json
from ..oks import annotated_oks
from ..poses import bboxes_around
from .annotations import KeypointAnnotations
from .results import check_results, check_scored, is_scored


@dataclass
class ImageGroundTruth:
    """The annotated people of an image (G people, K keypoints), in pixels."""

    keypoints: np.ndarray  # x, y, visibility, (G, K, 3)
    bboxes_xywh: np.ndarray  # (G, 4)
    areas: np.ndarray  # (G,)
    crowd: np.ndarray  # whether each stands for many people, (G,), bool
    # whether each counts neither as found nor as missed, (G,), bool; None:
    # crowds, and people without a labelled keypoint
    ignored: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.ignored is None:
            labelled = (self.keypoints[..., 2] > 0).any(1)
            self.ignored = self.crowd | ~labelled


class FlatGroundTruth:
    """The people of all images in one array."""

    def __init__(self, truths: Sequence[ImageGroundTruth]) -> None:
        self.counts = np.array([len(truth.areas) for truth in truths])
        keypoints = np.concatenate([truth.keypoints for truth in truths])
        self.points = keypoints[..., :2]
        self.boxes = np.concatenate([truth.bboxes_xywh for truth in truths])
        self.areas = np.concatenate([truth.areas for truth in truths])
        self.crowd = np.concatenate([truth.crowd for truth in truths])
        self.ignored = np.concatenate([truth.ignored for truth in truths])
        self.labelled = keypoints[..., 2] > 0

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
    num_poses: np.ndarray, num_people: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of a pose and a person of the same image, by pose.

    Both are counted through all images, which have so many of each, (I,).
    """
    of_pose = np.repeat(num_people, num_poses)
    pose = np.repeat(np.arange(len(of_pose)), of_pose)
    starts = np.cumsum(of_pose) - of_pose
    first = np.repeat(np.cumsum(num_people) - num_people, num_poses)
    return pose, np.arange(len(pose)) + (first - starts)[pose]


@dataclass
class PoseSet:
    """Annotated and detected people, image by image, in pixels."""

    image_ids: list
    truths: list[ImageGroundTruth]
    keypoints: list[np.ndarray]  # the detected poses (N, K, 2)
    keypoint_scores: list[np.ndarray]  # (N, K)
    bboxes_xyxy: list[np.ndarray]  # (N, 4)
    scores: list[np.ndarray]  # (N,), of the persons
    # (N,), as COCO takes them: a joint that is missing stretches a pose
    areas: list[np.ndarray] | None = None
    crowd_indices: list[float] | None = None  # CrowdPose's, of the images
    num_unlisted: int = 0  # poses left out, in images that aren't annotated

    def subset(self, indices: Sequence[int]) -> 'PoseSet':
        """The images at these indices."""
        columns = {
            name: [column[i] for i in indices]
            for name, column in vars(self).items()
            if isinstance(column, list)
        }
        return replace(self, **columns, num_unlisted=0)

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
    *,
    all_listed: bool = False,
) -> PoseSet:
    """Read annotations and results, see :func:`make_pose_set`.

    With ``all_listed`` every pose must be of an image and a category that the
    annotations list.

    Raises:
        FileNotFoundError: If a file doesn't exist.
        ConfigError: If a file isn't of this format, or no pose is in an
            image of the annotations or has a joint of a positive score.
    """
    annotations = KeypointAnnotations.read(ann_file)
    if all_listed:
        annotations.require('categories')
    annotations.check_evaluation(num_keypoints, use_area, iou_type)
    annotations.find_person_category()
    results = read_json(result_file)
    listed = [annotations.images, annotations.categories]
    listed = [{each['id'] for each in entries} for entries in listed]
    check_results(
        results,
        num_keypoints,
        *(listed if all_listed else ()),
        source=str(result_file),
    )
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
    joint of a positive score, and those of other categories than the people,
    are left out, as COCO's evaluation does. ``use_area`` and ``iou_type`` are
    those of :func:`.evaluate_keypoints`.
    """
    people, poses = defaultdict(list), defaultdict(list)
    categories = {None}
    for annotation in annotations['annotations']:
        people[annotation['image_id']].append(annotation)
        categories.add(annotation.get('category_id'))
    for result in results:
        if is_scored(result) and result.get('category_id') in categories:
            poses[result['image_id']].append(result)
    images = {image['id']: image for image in annotations['images']}
    image_ids = sorted(images)
    unlisted = sum(len(poses[i]) for i in poses.keys() - images.keys())
    crowd_indices = None
    if iou_type == 'keypoints_crowd':
        crowd_indices = [images[i].get('crowdIndex') for i in image_ids]
    columns = _by_image(_columns_of_poses, poses, image_ids, num_keypoints)
    people = _by_image(
        partial(_columns_of_people, use_area=use_area, iou_type=iou_type),
        people,
        image_ids,
        num_keypoints,
    )
    truths = [ImageGroundTruth(*each) for each in zip(*people, strict=True)]
    return PoseSet(image_ids, truths, *columns, crowd_indices, unlisted)


def _by_image(
    columns_of: Callable,
    entries: Mapping[int, list[dict]],
    image_ids: Sequence[int],
    num_keypoints: int,
) -> list[list[np.ndarray]]:
    """Columns of all entries at once, which is quick, cut into images."""
    flat = [entry for i in image_ids for entry in entries[i]]
    joints = np.array([entry['keypoints'] for entry in flat], np.float64)
    joints = joints.reshape(len(flat), num_keypoints, 3)
    ends = np.cumsum([len(entries[i]) for i in image_ids])[:-1]
    return [np.split(column, ends) for column in columns_of(flat, joints)]


def _columns_of_poses(
    results: list[dict], joints: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Keypoints, their scores, boxes, scores and areas."""
    points = joints[..., :2]
    boxes = bboxes_around(points, joints[..., 2])
    areas = np.ptp(points, axis=1).prod(1)
    given = [bool(result.get('bbox')) for result in results]
    if any(given):
        own = np.array([r['bbox'] for r in results if r.get('bbox')], float)
        boxes[given] = np.c_[own[:, :2], own[:, :2] + own[:, 2:]]
        areas[given] = own[:, 2:].prod(1)
    scores = np.array([result['score'] for result in results], np.float64)
    return points, joints[..., 2], boxes, scores, areas


def _columns_of_people(
    people: list[dict], joints: np.ndarray, use_area: bool, iou_type: str
) -> tuple[np.ndarray, ...]:
    """Keypoints, boxes, areas, crowds and who is ignored."""
    boxes = np.array([person['bbox'] for person in people], np.float64)
    boxes = boxes.reshape(len(people), 4)
    areas = boxes[:, 2] * boxes[:, 3] * 0.53
    if use_area:
        areas = np.array([person['area'] for person in people], np.float64)
    crowd = np.array([p.get('iscrowd', 0) for p in people], dtype=bool)
    unlabelled = ~(joints[..., 2] > 0).any(1)
    if iou_type == 'keypoints_crowd':
        numbers = np.array([p['num_keypoints'] for p in people], dtype=int)
        unlabelled = numbers == 0
    return joints, boxes, areas, crowd, crowd | unlabelled
