"""From a model's data samples to the units of MPII's evaluation."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..poses import bboxes_around
from .annotations import evaluated_joints
from .ap import AnnotatedPoses

_NEEDED = (
    'id', 'image_id', 'image_name', 'keypoints', 'head_size', 'protocol',
    'group_id', 'group_bbox_xyxy',
)  # fmt: skip


@dataclass
class SamplePoses:
    """What a model says of one sample (N poses, K joints) of ``people``."""

    sample_id: int | tuple
    img_id: int
    keypoints: np.ndarray  # (N, K, 2), in pixels of the image
    keypoint_scores: np.ndarray  # (N, K)
    bboxes_xyxy: np.ndarray  # (N, 4), in pixels of the image
    bbox_scores: np.ndarray  # (N,)
    people: list[dict]


def read_sample(data_sample: dict, num_keypoints: int) -> SamplePoses:
    """The parts of a data sample that the evaluation needs, checked.

    Without ``bboxes`` these are the extents of the joints, and without
    ``bbox_scores`` that of the sample's box, for a single pose, else 1.

    Raises:
        ValueError: If something is missing, a shape is wrong or a number is
            not finite.
    """
    img_id, sample_id = data_sample.get('img_id'), data_sample.get('id')
    where = f'image {img_id}, sample {sample_id}'
    people = data_sample.get('raw_ann_info') or []
    people = people if isinstance(people, list) else [people]
    for name in _NEEDED:
        if not people or any(name not in person for person in people):
            raise ValueError(
                f'{where}: no annotated person with "{name}". Use a '
                'MpiiMultiPersonDataset, and keep "raw_ann_info" among the '
                'meta_keys of PackPoseInputs'
            )
    poses = data_sample['pred_instances']
    number, shape = len(poses['keypoints']), (num_keypoints, 2)

    def array(name: str, *shape: int) -> np.ndarray:
        return _array(f'{where}: {name}', poses[name], number, *shape)

    keypoints = array('keypoints', *shape)
    boxes, bbox_scores = bboxes_around(keypoints), np.ones(number)
    if 'bboxes' in poses:
        boxes = array('bboxes', 4)
    truth = data_sample.get('gt_instances') or {}
    if 'bbox_scores' in poses:
        bbox_scores = array('bbox_scores')
    elif number == 1 and len(truth.get('bbox_scores', ())) == 1:
        # the box of a top-down model; a bottom-up one never saw any
        bbox_scores = _array(where, truth['bbox_scores'], 1)
    if isinstance(sample_id, list):
        sample_id = tuple(sample_id)
    scores = array('keypoint_scores', num_keypoints)
    return SamplePoses(
        sample_id, img_id, keypoints, scores, boxes, bbox_scores, people
    )


def _array(what: str, values: Any, *shape: int) -> np.ndarray:
    """A tensor or an array as float64, of this shape and finite."""
    if hasattr(values, 'cpu'):
        values = values.cpu()
    array = np.asarray(values, dtype=np.float64)
    if array.shape != shape:
        raise ValueError(
            f'{what} have the shape {array.shape}, but must have {shape}'
        )
    if not np.isfinite(array).all():
        first = np.argwhere(~np.isfinite(array))[0].tolist()
        raise ValueError(f'{what}{first} is {array[tuple(first)]}')
    return array


@dataclass
class EvaluationUnit:
    """A group or an image, with its annotated people and its predictions."""

    people: dict[int, dict] = field(default_factory=dict)  # by id
    # places of its poses among those of all samples
    poses: list[int] = field(default_factory=list)

    def __getitem__(self, name: str) -> Any:
        """What all its people have in common, such as ``image_name``."""
        return next(iter(self.people.values()))[name]


def gather_units(
    samples: Sequence[SamplePoses],
) -> tuple[list[EvaluationUnit], int]:
    """Distribute predictions to the groups or images they belong to.

    With the protocol ``'image'`` all poses of an image belong to it. With
    ``'group'`` a pose belongs to the group in whose box the mean of its
    joints lies, if in several to that whose centre is nearest, relative to
    half the box's diagonal. Of a sample's poses only those count that belong
    to a group that the sample is of. The others are left out: neither right
    nor wrong; their number is returned too.

    Raises:
        ValueError: If there are no samples, or one came twice.
    """
    if len(samples) == 0:
        raise ValueError(
            'there are no results to evaluate: the data set is empty or the '
            'results file is'
        )
    units: dict[int, EvaluationUnit] = {}
    seen = set()
    for sample in samples:
        key = (sample.img_id, sample.sample_id)
        if key in seen:
            raise ValueError(
                f'image {sample.img_id}: the results of {sample.sample_id} '
                'came twice'
            )
        seen.add(key)
        for person in sample.people:
            unit = units.setdefault(person['group_id'], EvaluationUnit())
            unit.people[person['id']] = person
    by_image: dict[int, list[EvaluationUnit]] = {}
    for unit in units.values():
        by_image.setdefault(unit['image_id'], []).append(unit)
    first = left_out = 0
    for sample in samples:
        rivals = by_image[sample.img_id]
        own = {person['group_id'] for person in sample.people}
        places = np.zeros(len(sample.keypoints), np.intp)
        if sample.people[0]['protocol'] == 'group':
            boxes = np.array([unit['group_bbox_xyxy'] for unit in rivals])
            places = nearest_group(sample.keypoints, boxes)
        for pose, place in enumerate(places, first):
            if place < 0 or rivals[place]['group_id'] not in own:
                left_out += 1
            else:
                rivals[place].poses.append(pose)
        first += len(places)
    return [units[group] for group in sorted(units)], left_out


def nearest_group(
    keypoints: np.ndarray, group_bboxes_xyxy: np.ndarray
) -> np.ndarray:
    """The group of each pose as in :func:`gather_units`, -1 for none."""
    means = keypoints.mean(1)[:, None]
    low, high = group_bboxes_xyxy[:, :2], group_bboxes_xyxy[:, 2:]
    inside = ((means >= low) & (means <= high)).all(-1)
    radius = np.hypot(*(high - low).T) / 2
    offset = means - (low + high) / 2
    distance = np.hypot(offset[..., 0], offset[..., 1]) / radius
    distance = np.where(inside, distance, np.inf)
    return np.where(inside.any(1), distance.argmin(1), -1)


def annotated_poses(people: Iterable[dict]) -> AnnotatedPoses:
    """The 14 joints that count of a unit's annotated people."""
    people = list(people)
    joints = np.array([person['keypoints'] for person in people], np.float64)
    joints = evaluated_joints(joints.reshape(len(people), -1, 3))
    sizes = np.array([person['head_size'] for person in people], np.float64)
    annotated = joints[..., 2] > 0
    for person, size, shown in zip(people, sizes, annotated, strict=True):
        if np.isnan(size) and shown.any():
            raise ValueError(
                f'image {person["image_name"]} (id {person["image_id"]}), '
                f'person {person["id"]} has no head box: PCKh needs one of '
                'everybody. The release and HDF5 files have them; for JSON '
                'give the data set a headbox_file'
            )
    return AnnotatedPoses(joints[..., :2], annotated, sizes)
