"""From a model's data samples to the units of MPII's evaluation."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..poses import bboxes_around
from .annotations import evaluated_joints
from .ap import AnnotatedPoses

_NEEDED = (
    'id',
    'image_id',
    'image_name',
    'keypoints',
    'head_size',
    'protocol',
    'group_id',
    'group_bbox_xyxy',
)


@dataclass
class SamplePoses:
    """What a model says of one sample (N poses, K joints).

    Attributes:
        sample_id (int | tuple): The sample's id: a person's, a detection's
            or those of all its people.
        img_id (int): Its image.
        keypoints (np.ndarray): Shape (N, K, 2), in pixels of the image.
        keypoint_scores (np.ndarray): Shape (N, K).
        bboxes_xyxy (np.ndarray): Shape (N, 4), in pixels of the image.
        bbox_scores (np.ndarray): Shape (N,).
        people (list[dict]): Annotated people, the ``raw_ann_info`` of
            ``MpiiMultiPersonDataset``.
    """

    sample_id: int | tuple
    img_id: int
    keypoints: np.ndarray
    keypoint_scores: np.ndarray
    bboxes_xyxy: np.ndarray
    bbox_scores: np.ndarray
    people: list[dict]


def read_sample(data_sample: dict, num_keypoints: int) -> SamplePoses:
    """The parts of a data sample that the evaluation needs, checked.

    Args:
        data_sample (dict): What the model returned: ``id``, ``img_id``,
            ``raw_ann_info`` and ``pred_instances`` with ``keypoints`` and
            ``keypoint_scores``, maybe ``bboxes`` (else the extents of the
            joints) and ``bbox_scores`` (else that of the sample's box, for
            a single pose, else 1).
        num_keypoints (int): K of the data set, 14 or 16.

    Returns:
        SamplePoses: As float64 arrays.

    Raises:
        ValueError: If something is missing, a shape is wrong or a number is
            not finite.
    """
    img_id, sample_id = data_sample.get('img_id'), data_sample.get('id')
    where = f'image {img_id}, sample {sample_id}'
    poses = data_sample.get('pred_instances')
    if poses is None:
        raise ValueError(f'{where}: the model returned no pred_instances')
    for name in ('keypoints', 'keypoint_scores'):
        if name not in poses:
            raise ValueError(f'{where}: the predictions have no {name}')
    people = data_sample.get('raw_ann_info')
    if people is None:
        raise ValueError(
            f'{where} comes without raw_ann_info: use a '
            'MpiiMultiPersonDataset, and keep "raw_ann_info" among the '
            'meta_keys of PackPoseInputs'
        )
    people = people if isinstance(people, list) else [people]
    _check_people(where, people)
    keypoints = _array(poses['keypoints'])
    number = len(keypoints)
    shape = number, num_keypoints, 2
    # joints first: boxes that are their extents inherit their NaN
    _check_array(f'{where}: keypoints', keypoints, shape)
    boxes, scores = np.zeros((0, 4)), np.ones(number)
    if 'bboxes' in poses:
        boxes = _array(poses['bboxes'])
    elif number:
        boxes = bboxes_around(keypoints)
    truth = data_sample.get('gt_instances') or {}
    if 'bbox_scores' in poses:
        scores = _array(poses['bbox_scores'])
    elif 'bbox_scores' in truth and number == 1:
        # the box of a top-down model; a bottom-up one never saw any
        given = _array(truth['bbox_scores'])
        scores = given if given.shape == (1,) else scores
    joint_scores = _array(poses['keypoint_scores'])
    _check_array(f'{where}: keypoint_scores', joint_scores, shape[:2])
    _check_array(f'{where}: bboxes', boxes, (number, 4))
    _check_array(f'{where}: bbox_scores', scores, (number,))
    if isinstance(sample_id, list):
        sample_id = tuple(sample_id)
    return SamplePoses(
        sample_id, img_id, keypoints, joint_scores, boxes, scores, people
    )


def _array(values: Any) -> np.ndarray:
    """A float64 array of a tensor or an array of any device."""
    if hasattr(values, 'cpu'):
        values = values.cpu()
    return np.asarray(values, dtype=np.float64)


def _check_array(what: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    """Refuse other shapes, and numbers that are not finite."""
    if array.shape != shape:
        raise ValueError(
            f'{what} have the shape {array.shape}, but must have {shape}'
        )
    if not np.isfinite(array).all():
        first = np.argwhere(~np.isfinite(array))[0].tolist()
        raise ValueError(f'{what}{first} is {array[tuple(first)]}')


def _check_people(where: str, people: list[dict]) -> None:
    """Refuse annotations of another data set, and people who come twice."""
    seen = set()
    for person in people:
        missing = [name for name in _NEEDED if name not in person]
        if missing:
            raise ValueError(
                f'{where}: an annotated person has no "{missing[0]}": MPII\'s '
                'multi-person AP needs a MpiiMultiPersonDataset'
            )
        if person['id'] in seen:
            raise ValueError(
                f'{where}: the person {person["id"]} is annotated twice'
            )
        seen.add(person['id'])


@dataclass
class EvaluationUnit:
    """A group or an image, with its annotated people and its predictions.

    Attributes:
        group_id (int): Its number.
        img_id (int): Its image.
        image_name (str): The image's file.
        bbox_xyxy (list): Box of the group, in pixels.
        people (dict): The annotated people by id.
        poses (list): Indices (sample, pose) of what is predicted.
    """

    group_id: int
    img_id: int
    image_name: str
    bbox_xyxy: list
    people: dict[int, dict] = field(default_factory=dict)
    poses: list[tuple[int, int]] = field(default_factory=list)


def gather_units(
    samples: Sequence[SamplePoses],
) -> tuple[list[EvaluationUnit], int]:
    """Distribute predictions to the groups or images they belong to.

    With the protocol ``'image'`` all poses of an image belong to it. With
    ``'group'`` a pose belongs to the group in whose box the mean of its
    joints lies, if in several to that whose centre is nearest, relative to
    half the box's diagonal. Of a sample's poses only those count that
    belong to a group that the sample is of; for a detection these are all
    of the image. The others, people that the protocol doesn't look at, are
    left out: neither right nor wrong.

    Args:
        samples (sequence): The :class:`SamplePoses` of the whole data set.

    Returns:
        tuple:

        - units (list[EvaluationUnit]): By group number
        - left_out (int): Number of poses that belong nowhere

    Raises:
        ValueError: If there are no samples, a sample came twice, a person
            is in two units, or an image has no annotations.
    """
    if len(samples) == 0:
        raise ValueError(
            'there are no results to evaluate: the data set is empty or the '
            'results file is'
        )
    units: dict[int, EvaluationUnit] = {}
    home: dict[int, int] = {}
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
            group, number = person['group_id'], person['id']
            if home.setdefault(number, group) != group:
                raise ValueError(
                    f'image {person["image_id"]}: the person {number} is in '
                    'two units'
                )
            if group not in units:
                units[group] = EvaluationUnit(
                    group,
                    person['image_id'],
                    person['image_name'],
                    person['group_bbox_xyxy'],
                )
            units[group].people[number] = person
    by_image: dict[int, list[EvaluationUnit]] = {}
    for unit in units.values():
        by_image.setdefault(unit.img_id, []).append(unit)
    left_out = 0
    for index, sample in enumerate(samples):
        rivals = by_image.get(sample.img_id)
        if rivals is None:
            raise ValueError(
                f'there are results for the image {sample.img_id}, which has '
                'no annotations'
            )
        own = {person['group_id'] for person in sample.people}
        (first, *_) = rivals[0].people.values()
        places = np.zeros(len(sample.keypoints), np.intp)
        if first['protocol'] == 'group':
            places = nearest_group(
                sample.keypoints, np.array([u.bbox_xyxy for u in rivals])
            )
        for pose, place in enumerate(places):
            if place < 0 or rivals[place].group_id not in own:
                left_out += 1
            else:
                rivals[place].poses.append((index, pose))
    return [units[group] for group in sorted(units)], left_out


def nearest_group(
    keypoints: np.ndarray, group_bboxes_xyxy: np.ndarray
) -> np.ndarray:
    """The group in whose box the mean of a pose's joints lies.

    Args:
        keypoints (np.ndarray): Poses (N, K, 2), in pixels.
        group_bboxes_xyxy (np.ndarray): Shape (G, 4), in pixels.

    Returns:
        np.ndarray: Index of the group of each pose, (N,): of several the
        one whose centre is nearest, relative to half the diagonal of its
        box; -1 for none.
    """
    means = keypoints.mean(1)[:, None]
    low, high = group_bboxes_xyxy[:, :2], group_bboxes_xyxy[:, 2:]
    inside = ((means >= low) & (means <= high)).all(-1)
    radius = np.hypot(*(high - low).T) / 2
    offset = means - (low + high) / 2
    distance = np.hypot(offset[..., 0], offset[..., 1]) / radius
    distance = np.where(inside, distance, np.inf)
    return np.where(inside.any(1), distance.argmin(1), -1)


def annotated_poses(people: Iterable[dict]) -> AnnotatedPoses:
    """Annotated people with the 14 joints that count.

    Args:
        people (iterable): Their annotations.

    Returns:
        AnnotatedPoses: For the evaluation.

    Raises:
        ValueError: If a person with joints has no head size.
    """
    points, sizes = [np.zeros((0, 14, 3))], []
    for person in people:
        joints = np.array(person['keypoints'], np.float64)
        joints = evaluated_joints(joints.reshape(1, -1, 3))
        size = person['head_size']
        if size is None and (joints[..., 2] > 0).any():
            raise ValueError(
                f'image {person["image_name"]} (id {person["image_id"]}), '
                f'person {person["id"]} has no head box: PCKh needs one of '
                'everybody. The release and HDF5 files have them; for JSON '
                'give the data set a headbox_file'
            )
        points.append(joints)
        sizes.append(np.nan if size is None else size)
    joints = np.concatenate(points)
    return AnnotatedPoses(
        joints[..., :2], joints[..., 2] > 0, np.array(sizes, np.float64)
    )
