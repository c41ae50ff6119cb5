"""Images with any number of poses as one flat array, and back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Union

import numpy as np
import torch
from torch import Tensor

from .pose_nms_result import PoseNMSResult
from .pose_similarity import Array, clean_scores

Arrays = Union[Array, Sequence[Array]]


@dataclass
class PoseBatch:
    """The poses of several images, image after image, on the host.

    T is their number in all images, K that of keypoints.

    Attributes:
        keypoints (np.ndarray): Shape (T, K, 2), float64, in pixels.
        keypoint_scores (np.ndarray): Shape (T, K), float64, finite and not
            negative; 0 for joints without a finite position.
        bboxes_xyxy (np.ndarray): Shape (T, 4), float64, in pixels.
        person_scores (np.ndarray): Shape (T,), float64, finite: given, or
            the score of the box times the mean score of the joints.
        bbox_scores (np.ndarray, optional): Shape (T,), float64, finite;
            None when the persons' scores were given.
        sizes (np.ndarray): Number of poses of every image.
        positions (np.ndarray): Index of each pose in its image, (T,).
        device (torch.device, optional): Where the input was; None for
            numpy.
        dtype (np.dtype | torch.dtype): Of the input's keypoints.
        scores_dtype (np.dtype | torch.dtype): Of the input's scores.
    """

    keypoints: np.ndarray
    keypoint_scores: np.ndarray
    bboxes_xyxy: np.ndarray
    person_scores: np.ndarray
    bbox_scores: np.ndarray | None
    sizes: np.ndarray
    positions: np.ndarray
    device: torch.device | None
    dtype: Union[np.dtype, torch.dtype]
    scores_dtype: Union[np.dtype, torch.dtype]

    @property
    def images(self) -> np.ndarray:
        """Which image every pose is in, (T,)."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    def ranking(self, confidence: np.ndarray) -> np.ndarray:
        """Poses by image and descending confidence; ties in input order."""
        if len(self.sizes) == 1:
            return np.argsort(-confidence, kind='stable')
        return np.lexsort((-confidence, self.images))


@dataclass
class Selection:
    """The poses kept of a :class:`PoseBatch`, in any order.

    Attributes:
        members (np.ndarray): All eliminated and kept poses, cluster after
            cluster, the pose that is kept first in its cluster.
        sizes (np.ndarray): Number of members of each of the C clusters.
        keypoints (np.ndarray): Poses (C, K, 2), maybe merged.
        keypoint_scores (np.ndarray): Their scores (C, K).
        scores (np.ndarray): Scores (C,) of the persons.
    """

    members: np.ndarray
    sizes: np.ndarray
    keypoints: np.ndarray
    keypoint_scores: np.ndarray
    scores: np.ndarray

    @property
    def starts(self) -> np.ndarray:
        """Where each cluster starts in ``members``, (C,)."""
        return self.sizes.cumsum() - self.sizes

    @property
    def picks(self) -> np.ndarray:
        """The poses that are kept, (C,)."""
        return self.members[self.starts]

    def having(self, wanted: np.ndarray) -> 'Selection':
        """Only the clusters for which ``wanted`` (C,) is true."""
        return Selection(
            self.members[np.repeat(wanted, self.sizes)],
            self.sizes[wanted],
            self.keypoints[wanted],
            self.keypoint_scores[wanted],
            self.scores[wanted],
        )


def _check_shapes(
    keypoints: Array, scores: Array, boxes: Array, where: str
) -> None:
    """Refuse arrays that don't belong together."""
    if keypoints.ndim != 3 or keypoints.shape[2] != 2:
        raise ValueError(
            f'keypoints{where} must have the shape (N, K, 2), but got '
            f'{tuple(keypoints.shape)}'
        )
    expected = tuple(keypoints.shape[:2])
    if tuple(scores.shape) != expected:
        raise ValueError(
            f'keypoint_scores{where} must have the shape {expected} of the '
            f'keypoints, but got {tuple(scores.shape)}'
        )
    if tuple(boxes.shape) != (expected[0], 4):
        raise ValueError(
            f'bboxes_xyxy{where} must have the shape ({expected[0]}, 4), one '
            f'box for every pose, but got {tuple(boxes.shape)}'
        )


def _as_array(values: Array) -> Array:
    """Tensors as they are, anything else as a numpy array."""
    return values if isinstance(values, Tensor) else np.asarray(values)


def flatten_poses(
    keypoints: Arrays,
    keypoint_scores: Arrays,
    bboxes_xyxy: Arrays,
    bbox_scores: Arrays | None = None,
    scores: Arrays | None = None,
) -> PoseBatch:
    """Gather the poses of several images; tensors are read back once.

    Args:
        keypoints (sequence): An array (N, K, 2) for every image.
        keypoint_scores (sequence): Arrays (N, K).
        bboxes_xyxy (sequence): Arrays (N, 4).
        bbox_scores (sequence, optional): Arrays (N,). Defaults to None.
        scores (sequence, optional): Arrays (N,). Defaults to None.

    Returns:
        PoseBatch: All of it in float64.

    Raises:
        ValueError: If shapes don't fit one another.
    """
    several = len(keypoints) > 1
    fields = [keypoints, keypoint_scores, bboxes_xyxy]
    fields += [field for field in (bbox_scores, scores) if field is not None]
    fields = [[_as_array(image) for image in field] for field in fields]
    if any(len(field) != len(keypoints) for field in fields):
        raise ValueError(
            'every argument of the pose NMS needs one array an image, but '
            f'got {[len(field) for field in fields]} of them'
        )
    num_joints = {image.shape[1:2] for image in fields[0]}
    for index, image in enumerate(zip(*fields, strict=True)):
        where = f' of image {index}' if several else ''
        _check_shapes(*image[:3], where)
        for values in image[3:]:
            if tuple(values.shape) != (len(image[0]),):
                raise ValueError(
                    f'bbox_scores and scores{where} must have the shape '
                    f'({len(image[0])},), but got {tuple(values.shape)}'
                )
    if len(num_joints) > 1:
        raise ValueError(
            'the images of a batch must have the same number of keypoints, '
            f'but got {sorted(shape[0] for shape in num_joints)}'
        )
    sizes = np.array([len(image) for image in fields[0]], dtype=np.intp)
    first = fields[0][0]
    first_scores = fields[1][0]
    if isinstance(first, Tensor):
        columns = _read_back(fields)
    else:
        columns = [
            np.asarray(np.concatenate(field), dtype=np.float64)
            if several
            else np.asarray(field[0], dtype=np.float64)
            for field in fields
        ]
    points, joint_scores, boxes = columns[:3]
    rest = columns[3:]
    joint_scores = clean_scores(joint_scores)
    finite = np.isfinite(points).all(-1)
    if not finite.all():
        joint_scores = np.where(finite, joint_scores, 0.0)
    boxes_scores = None
    if scores is not None:
        person_scores = np.nan_to_num(rest[-1], nan=0.0)
    else:
        if bbox_scores is not None:
            boxes_scores = clean_scores(rest[0])
        else:
            boxes_scores = np.ones(len(points))
        person_scores = boxes_scores * mean_scores(joint_scores)
    positions = np.arange(len(points))
    if several:
        positions -= np.repeat(np.cumsum(sizes) - sizes, sizes)
    return PoseBatch(
        keypoints=points,
        keypoint_scores=joint_scores,
        bboxes_xyxy=boxes,
        person_scores=person_scores,
        bbox_scores=boxes_scores,
        sizes=sizes,
        positions=positions,
        device=first.device if isinstance(first, Tensor) else None,
        dtype=first.dtype,
        scores_dtype=first_scores.dtype,
    )


def _read_back(fields: list[list[Tensor]]) -> list[np.ndarray]:
    """Copy tensors to the host, all in one transfer."""
    columns = [
        torch.cat([image.detach().double().flatten(1) for image in field])
        if field[0].ndim > 1
        else torch.cat([image.detach().double()[:, None] for image in field])
        for field in fields
    ]
    host = torch.cat(columns, 1).cpu().numpy()
    widths = np.cumsum([column.shape[1] for column in columns])[:-1]
    parts = np.split(host, widths, axis=1)
    shapes = [field[0].shape[1:] for field in fields]
    return [
        np.ascontiguousarray(part).reshape(-1, *shape)
        for part, shape in zip(parts, shapes, strict=True)
    ]


def mean_scores(keypoint_scores: np.ndarray) -> np.ndarray:
    """Mean score of the joints, (T,); 0 for poses without joints."""
    if keypoint_scores.shape[1] == 0:
        return np.zeros(len(keypoint_scores))
    return keypoint_scores.sum(1) / keypoint_scores.shape[1]


def clusters_of(
    poses: PoseBatch, order: np.ndarray, owners: np.ndarray
) -> Selection:
    """The selection that follows from which pose eliminated which.

    Args:
        poses (PoseBatch): The poses (T).
        order (np.ndarray): Their order of confidence in each image, (T,).
        owners (np.ndarray): For each pose in that order the place, in that
            order, of the pose that eliminated it, or its own.

    Returns:
        Selection: The poses kept, not merged.
    """
    kept = owners == np.arange(len(owners))
    number = np.cumsum(kept) - 1
    cluster = number[owners]
    by_cluster = np.argsort(cluster, kind='stable')
    picks = order[kept]
    return Selection(
        members=order[by_cluster],
        sizes=np.bincount(cluster, minlength=len(picks)),
        keypoints=poses.keypoints[picks],
        keypoint_scores=poses.keypoint_scores[picks],
        scores=poses.person_scores[picks],
    )


def results_of(poses: PoseBatch, selection: Selection) -> list[PoseNMSResult]:
    """Distribute a selection to the images, best persons first.

    Args:
        poses (PoseBatch): The poses.
        selection (Selection): What is kept of them.

    Returns:
        list[PoseNMSResult]: One an image, of the kind of the input; tensors
        are sent to the device in one transfer a field.
    """
    starts = selection.starts
    picks = selection.members[starts]
    if len(poses.sizes) == 1:
        order = np.argsort(-selection.scores, kind='stable')
        counts = [len(order)]
    else:
        images = poses.images[picks]
        order = np.lexsort((-selection.scores, images))
        counts = np.bincount(images, minlength=len(poses.sizes)).tolist()
    keep = poses.positions[picks[order]]
    stops = (starts + selection.sizes)[order].tolist()
    starts = starts[order].tolist()
    members = poses.positions[selection.members]
    fields = [
        keep,
        selection.keypoints[order],
        selection.keypoint_scores[order],
        selection.scores[order],
    ]
    dtypes = [None, poses.dtype, poses.scores_dtype, poses.scores_dtype]
    if poses.device is None:
        fields = [
            field if dtype is None else field.astype(_floating(dtype))
            for field, dtype in zip(fields, dtypes, strict=True)
        ]
    else:
        members = torch.from_numpy(members).to(poses.device)
        fields = [
            torch.from_numpy(field).to(poses.device)
            if dtype is None
            else torch.from_numpy(field).to(poses.device, _floating(dtype))
            for field, dtype in zip(fields, dtypes, strict=True)
        ]
    clusters = [
        members[start:stop] for start, stop in zip(starts, stops, strict=True)
    ]
    results, start = [], 0
    for count in counts:
        part = slice(start, start + count)
        results.append(
            PoseNMSResult(
                keep=fields[0][part],
                clusters=clusters[part],
                keypoints=fields[1][part],
                keypoint_scores=fields[2][part],
                scores=fields[3][part],
            )
        )
        start += count
    return results


def _floating(
    dtype: Union[np.dtype, torch.dtype],
) -> Union[np.dtype, torch.dtype]:
    """The dtype itself, or float64 in the place of integers."""
    if isinstance(dtype, torch.dtype):
        return dtype if dtype.is_floating_point else torch.float64
    return dtype if np.issubdtype(dtype, np.floating) else np.float64
