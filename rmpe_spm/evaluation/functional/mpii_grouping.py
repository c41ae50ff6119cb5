"""Predictions and annotations of MPII, gathered by group or image."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...structures.mpii_joints import evaluated_joints
from .mpii_matching import AnnotatedPoses
from .mpii_samples import SamplePoses


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
            unit = units.setdefault(
                person['group_id'],
                EvaluationUnit(
                    person['group_id'],
                    person['image_id'],
                    person['image_name'],
                    person['group_bbox_xyxy'],
                ),
            )
            if home.setdefault(person['id'], unit.group_id) != unit.group_id:
                raise ValueError(
                    f'image {person["image_id"]}: the person '
                    f'{person["id"]} is in two units'
                )
            unit.people[person['id']] = person
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
        whole_image = next(iter(rivals[0].people.values()))['protocol']
        if whole_image == 'image':
            places = np.zeros(len(sample.keypoints), np.intp)
        else:
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
