"""Images with any number of poses as one flat array."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Union

import numpy as np
import torch
from torch import Tensor

from ..poses import clean_scores
from .similarity import Array


@dataclass
class PoseNMSResult:
    """The poses that a pose NMS leaves of one image, best first.

    All arrays are of the kind (numpy or torch, and the device) of the input.
    M is the number of poses kept, N that of the input, K of keypoints.

    Attributes:
        keep (np.ndarray | Tensor): Indices (M,) into the input, int64, by
            descending ``scores``.
        clusters (list): For every kept pose the indices of all poses that
            it stands for, int64: its own first, the others by descending
            confidence.
        keypoints (np.ndarray | Tensor): Poses (M, K, 2) in the input's
            pixels, merged where the rule merges.
        keypoint_scores (np.ndarray | Tensor): Their scores (M, K).
        scores (np.ndarray | Tensor): Scores (M,) of the persons.
    """

    keep: Array
    clusters: list[Array]
    keypoints: Array
    keypoint_scores: Array
    scores: Array

    def __len__(self) -> int:
        """Number of poses kept."""
        return len(self.keep)


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
        given_areas (np.ndarray, optional): Shape (T,), float64, in square
            pixels.
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
    given_areas: np.ndarray | None
    sizes: np.ndarray
    positions: np.ndarray
    device: torch.device | None
    dtype: Union[np.dtype, torch.dtype]
    scores_dtype: Union[np.dtype, torch.dtype]

    @property
    def images(self) -> np.ndarray:
        """Which image every pose is in, (T,)."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    @property
    def areas(self) -> np.ndarray:
        """Areas (T,): those given, or the boxes', in square pixels."""
        if self.given_areas is not None:
            return self.given_areas
        sides = self.bboxes_xyxy[:, 2:] - self.bboxes_xyxy[:, :2]
        return np.where(np.isfinite(sides), sides, 0.0).clip(0).prod(1)

    def ranking(self, confidence: np.ndarray) -> np.ndarray:
        """Poses by image and descending confidence; ties in input order."""
        if len(self.sizes) == 1:
            return np.argsort(-confidence, kind='stable')
        return np.lexsort((-confidence, self.images))


def _as_array(values: Array) -> Array:
    """Tensors as they are, anything else as a numpy array."""
    return values if isinstance(values, Tensor) else np.asarray(values)


def flatten_poses(
    keypoints: Arrays,
    keypoint_scores: Arrays,
    bboxes_xyxy: Arrays,
    bbox_scores: Arrays | None = None,
    scores: Arrays | None = None,
    areas: Arrays | None = None,
) -> PoseBatch:
    """Gather the poses of several images; tensors are read back once.

    Args:
        keypoints (sequence): An array (N, K, 2) for every image.
        keypoint_scores (sequence): Arrays (N, K).
        bboxes_xyxy (sequence): Arrays (N, 4).
        bbox_scores (sequence, optional): Arrays (N,). Defaults to None.
        scores (sequence, optional): Arrays (N,). Defaults to None.
        areas (sequence, optional): Arrays (N,). Defaults to None.

    Returns:
        PoseBatch: All of it in float64.

    Raises:
        ValueError: If shapes don't fit one another.
    """
    fields = dict(
        keypoints=keypoints,
        keypoint_scores=keypoint_scores,
        bboxes_xyxy=bboxes_xyxy,
        bbox_scores=bbox_scores,
        scores=scores,
        areas=areas,
    )
    fields = {
        name: [_as_array(image) for image in field]
        for name, field in fields.items()
        if field is not None
    }
    _check_fields(fields)
    first = fields['keypoints'][0]
    sizes = np.array([len(image) for image in fields['keypoints']])
    if isinstance(first, Tensor):
        columns = _read_back(fields)
    else:
        columns = {
            name: np.asarray(
                np.concatenate(field) if len(field) > 1 else field[0],
                dtype=np.float64,
            )
            for name, field in fields.items()
        }
    points = columns['keypoints']
    joint_scores = clean_scores(columns['keypoint_scores'])
    finite = np.isfinite(points)
    if not finite.all():
        finite = finite.all(-1)
        joint_scores = np.where(finite, joint_scores, 0.0)
    if scores is not None:
        box_scores = None
        person_scores = np.nan_to_num(
            columns['scores'], nan=0.0, posinf=0.0, neginf=0.0
        )
    else:
        person_scores = mean_scores(joint_scores)
        if bbox_scores is None:
            box_scores = np.ones(len(points))
        else:
            box_scores = clean_scores(columns['bbox_scores'])
            person_scores = box_scores * person_scores
    positions = np.arange(len(points))
    if len(sizes) > 1:
        positions -= np.repeat(np.cumsum(sizes) - sizes, sizes)
    return PoseBatch(
        keypoints=points,
        keypoint_scores=joint_scores,
        bboxes_xyxy=columns['bboxes_xyxy'],
        person_scores=person_scores,
        bbox_scores=box_scores,
        given_areas=columns.get('areas'),
        sizes=sizes,
        positions=positions,
        device=first.device if isinstance(first, Tensor) else None,
        dtype=first.dtype,
        scores_dtype=fields['keypoint_scores'][0].dtype,
    )


def _check_fields(fields: dict[str, list[Array]]) -> None:
    """Refuse arrays that don't belong together."""
    lengths = {name: len(field) for name, field in fields.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            'every argument of the pose NMS needs one array an image, but '
            f'got {lengths}'
        )
    several = lengths['keypoints'] > 1
    all_joints = set()
    for index, keypoints in enumerate(fields['keypoints']):
        where = f' of image {index}' if several else ''
        if keypoints.ndim != 3 or keypoints.shape[2] != 2:
            raise ValueError(
                f'keypoints{where} must have the shape (N, K, 2), but got '
                f'{tuple(keypoints.shape)}'
            )
        number, num_joints = keypoints.shape[:2]
        all_joints.add(num_joints)
        expected = dict(
            keypoint_scores=(number, num_joints), bboxes_xyxy=(number, 4)
        )
        for name, field in fields.items():
            shape = tuple(field[index].shape)
            if name != 'keypoints' and shape != expected.get(name, (number,)):
                raise ValueError(
                    f'{name}{where} must have the shape '
                    f'{expected.get(name, (number,))}, for {number} poses of '
                    f'{num_joints} keypoints, but got {shape}'
                )
    if len(all_joints) > 1:
        raise ValueError(
            'the images of a batch must have the same number of keypoints, '
            f'but got {sorted(all_joints)}'
        )


def _read_back(fields: dict[str, list[Tensor]]) -> dict[str, np.ndarray]:
    """Copy tensors to the host, all in one transfer."""
    columns = [
        torch.cat([image.detach().double() for image in field])
        for field in fields.values()
    ]
    widths = [column.shape[1:].numel() for column in columns]
    packed = torch.cat(
        [c.reshape(len(c), w) for c, w in zip(columns, widths, strict=True)], 1
    )
    parts = np.split(packed.cpu().numpy(), np.cumsum(widths)[:-1], axis=1)
    return {
        name: np.ascontiguousarray(part).reshape(column.shape)
        for name, part, column in zip(fields, parts, columns, strict=True)
    }


def mean_scores(keypoint_scores: np.ndarray) -> np.ndarray:
    """Mean score of the joints, (T,); 0 for poses without joints."""
    if keypoint_scores.shape[1] == 0:
        return np.zeros(len(keypoint_scores))
    return keypoint_scores.sum(1) / keypoint_scores.shape[1]


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
    if kept.all():
        picks = members = order
        sizes = np.ones(len(order), dtype=np.intp)
    else:
        picks = order[kept]
        cluster = (kept.cumsum() - 1)[owners]
        members = order[np.argsort(cluster, kind='stable')]
        sizes = np.bincount(cluster, minlength=len(picks))
    return Selection(
        members=members,
        sizes=sizes,
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
