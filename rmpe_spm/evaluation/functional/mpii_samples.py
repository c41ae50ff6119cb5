"""What the evaluation of MPII needs of a model's data samples."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...structures.pose_boxes import bboxes_around

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
        ValueError: If something is missing or :func:`check_sample` refuses
            it.
    """
    img_id = data_sample.get('img_id')
    where = f'image {img_id}'
    poses = data_sample.get('pred_instances')
    if poses is None:
        raise ValueError(f'{where}: the model returned no pred_instances')
    for name in ('keypoints', 'keypoint_scores'):
        if name not in poses:
            raise ValueError(f'{where}: the predictions have no {name}')
    if data_sample.get('raw_ann_info') is None:
        raise ValueError(
            f'{where} comes without raw_ann_info: use a '
            'MpiiMultiPersonDataset, and keep "raw_ann_info" among the '
            'meta_keys of PackPoseInputs'
        )
    people = data_sample['raw_ann_info']
    keypoints = _array(poses['keypoints'])
    if keypoints.shape[1:] != (num_keypoints, 2):
        raise ValueError(
            f'{where}: the predicted poses have the shape '
            f'{keypoints.shape}, but the data set has {num_keypoints} '
            f'joints: (N, {num_keypoints}, 2)'
        )
    if 'bboxes' in poses:
        boxes = _array(poses['bboxes'])
    elif len(keypoints):
        boxes = bboxes_around(keypoints)
    else:
        boxes = np.zeros((0, 4))
    scores = np.ones(len(keypoints))
    truth = data_sample.get('gt_instances') or {}
    if 'bbox_scores' in poses:
        scores = _array(poses['bbox_scores'])
    elif 'bbox_scores' in truth and len(keypoints) == 1:
        # the box of a top-down model; a bottom-up one never saw any
        given = _array(truth['bbox_scores'])
        scores = given if given.shape == (1,) else scores
    sample_id = data_sample.get('id')
    sample = SamplePoses(
        tuple(sample_id) if isinstance(sample_id, list) else sample_id,
        img_id,
        keypoints,
        _array(poses['keypoint_scores']),
        boxes,
        scores,
        people if isinstance(people, list) else [people],
    )
    check_sample(sample)
    return sample


def check_sample(sample: SamplePoses) -> None:
    """Refuse predictions and annotations that can't be evaluated.

    Args:
        sample (SamplePoses): The sample.

    Raises:
        ValueError: If shapes are wrong, a number is not finite, or the
            annotations lack something.
    """
    where = f'image {sample.img_id}, sample {sample.sample_id}'
    shape = sample.keypoints.shape
    for name, expected in (
        ('keypoint_scores', shape[:2]),
        ('bboxes_xyxy', (shape[0], 4)),
        ('bbox_scores', shape[:1]),
    ):
        found = getattr(sample, name).shape
        if found != expected:
            raise ValueError(
                f'{where}: {name} have the shape {found}, but must have '
                f'{expected}'
            )
    # joints first: boxes that are their extents inherit their NaN
    for name in (
        'keypoints',
        'keypoint_scores',
        'bboxes_xyxy',
        'bbox_scores',
    ):
        values = getattr(sample, name)
        if not np.isfinite(values).all():
            first = np.argwhere(~np.isfinite(values))[0].tolist()
            raise ValueError(
                f'{where}: {name}{first} is {values[tuple(first)]}'
            )
    seen = set()
    for person in sample.people:
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


def _array(values: Any) -> np.ndarray:
    """A float64 array of a tensor or an array of any device."""
    if hasattr(values, 'cpu'):
        values = values.cpu()
    return np.asarray(values, dtype=np.float64)
