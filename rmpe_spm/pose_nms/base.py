"""The interface of every pose NMS, and the arrays that it works on."""

from abc import ABCMeta, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Union

import numpy as np

from ..poses import Array, Tensor, clean_scores, torch

Arrays = Union[Array, Sequence[Array]]


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


# What a batch knows of each pose
_COLUMNS = (
    'keypoints', 'keypoint_scores', 'bboxes_xyxy', 'person_scores',
    'bbox_scores', 'given_areas', 'indices',
)  # fmt: skip


@dataclass
class PoseBatch:
    """The T poses of several images, image after image, on the host.

    Positions are float64, in pixels; scores are finite and not negative, 0 for
    joints without a finite position. ``indices`` (T,) are those in the images'
    inputs, of ``sizes`` poses each. ``device`` (None for numpy) and the dtypes
    are the result's.
    """

    keypoints: np.ndarray
    keypoint_scores: np.ndarray
    bboxes_xyxy: np.ndarray
    person_scores: np.ndarray
    bbox_scores: np.ndarray | None
    given_areas: np.ndarray | None
    indices: np.ndarray
    sizes: np.ndarray
    device: Any
    dtype: Any
    scores_dtype: Any

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

    def ranked(self, confidence: np.ndarray) -> 'PoseBatch':
        """By image and descending confidence (T,), ties in their order."""
        order = np.lexsort((-confidence, self.images))
        columns = {name: getattr(self, name) for name in _COLUMNS}
        return replace(
            self,
            **{k: v if v is None else v[order] for k, v in columns.items()},
        )


@dataclass
class Selection:
    """The poses kept of a :class:`PoseBatch`, C of them, in any order.

    ``members`` are all eliminated and kept poses, cluster after cluster, the
    pose that is kept first in its own; ``sizes`` (C,) the clusters'.
    """

    members: np.ndarray
    sizes: np.ndarray
    keypoints: np.ndarray
    keypoint_scores: np.ndarray
    scores: np.ndarray

    @property
    def kept(self) -> np.ndarray:
        """The poses that are kept, (C,)."""
        return self.members[self.sizes.cumsum() - self.sizes]


class BasePoseNMS(metaclass=ABCMeta):
    """Base of the pose NMS components.

    The score of a person is ``scores`` where given. Otherwise it is the
    score of the box (1 where there is none) times the mean of the joint
    scores, those of the merged pose where poses are merged; NaN, infinite
    and negative scores of boxes and joints count as 0, and so do NaN and
    infinite ones among given ``scores``.

    A subclass has :meth:`select`, and its own :meth:`confidence` if not the
    persons' scores rank the poses.
    """

    def __call__(
        self,
        keypoints: Array,
        keypoint_scores: Array,
        bboxes_xyxy: Array,
        bbox_scores: Array | None = None,
        scores: Array | None = None,
        areas: Array | None = None,
    ) -> PoseNMSResult:
        """Remove the redundant poses of one image.

        Args:
            keypoints (np.ndarray | Tensor): Shape (N, K, 2), in pixels.
            keypoint_scores (np.ndarray | Tensor): Shape (N, K).
            bboxes_xyxy (np.ndarray | Tensor): Shape (N, 4), in pixels.
            bbox_scores (np.ndarray | Tensor, optional): Shape (N,).
                Defaults to None.
            scores (np.ndarray | Tensor, optional): Scores (N,) of the
                persons, in place of those made from the box and the joints.
                Defaults to None.
            areas (np.ndarray | Tensor, optional): Areas (N,) in square
                pixels for rules that use OKS, in place of the boxes'.
                Defaults to None.

        Returns:
            PoseNMSResult: The poses kept, best first.

        Raises:
            ValueError: If the shapes don't fit one another.
        """
        fields = keypoints, keypoint_scores, bboxes_xyxy
        fields = *fields, bbox_scores, scores, areas
        [result] = self.batch(*(f if f is None else [f] for f in fields))
        return result

    def batch(
        self, keypoints: Arrays, *fields: Arrays, **others: Arrays
    ) -> list[PoseNMSResult]:
        """Remove the redundant poses of every image of a batch, at once.

        Takes for every argument of a call a sequence with an array an image,
        each with an N of its own, or one array (B, N, ...).

        Returns:
            list[PoseNMSResult]: One an image, as from a call for each.
        """
        if len(keypoints) == 0:
            return []
        poses = flatten_poses(keypoints, *fields, **others)
        poses = poses.ranked(self.confidence(poses))
        return split_images(poses, self.select(poses))

    def confidence(self, poses: PoseBatch) -> np.ndarray:
        """What ranks the poses of an image before :meth:`select`, (T,)."""
        return poses.person_scores

    @abstractmethod
    def select(self, poses: PoseBatch) -> Selection:
        """Choose the poses to keep; each image's most confident is first."""


def mean_scores(keypoint_scores: np.ndarray) -> np.ndarray:
    """Mean score of the joints, (T,); 0 for poses without joints."""
    return keypoint_scores.sum(1) / max(keypoint_scores.shape[1], 1)


def flatten_poses(
    keypoints: Arrays,
    keypoint_scores: Arrays,
    bboxes_xyxy: Arrays,
    bbox_scores: Arrays | None = None,
    scores: Arrays | None = None,
    areas: Arrays | None = None,
) -> PoseBatch:
    """Gather the poses of several images, as :meth:`BasePoseNMS.batch`."""
    fields = dict(keypoints=keypoints, keypoint_scores=keypoint_scores)
    fields.update(bboxes_xyxy=bboxes_xyxy, bbox_scores=bbox_scores)
    fields.update(scores=scores, areas=areas)
    fields = {
        name: [x if isinstance(x, Tensor) else np.asarray(x) for x in field]
        for name, field in fields.items()
        if field is not None
    }
    _check_shapes(fields)
    columns = {name: _on_host(field) for name, field in fields.items()}
    points = columns['keypoints']
    joint_scores = clean_scores(columns['keypoint_scores'])
    joint_scores[~np.isfinite(points).all(-1)] = 0
    if 'scores' in columns:
        box_scores = None
        person_scores = np.nan_to_num(columns['scores'], False, 0.0, 0.0, 0.0)
    else:
        box_scores = clean_scores(
            columns.get('bbox_scores', np.ones(len(points)))
        )
        person_scores = box_scores * mean_scores(joint_scores)
    first, sizes = fields['keypoints'][0], list(map(len, keypoints))
    return PoseBatch(
        keypoints=points,
        keypoint_scores=joint_scores,
        bboxes_xyxy=columns['bboxes_xyxy'],
        person_scores=person_scores,
        bbox_scores=box_scores,
        given_areas=columns.get('areas'),
        indices=np.concatenate([np.arange(size) for size in sizes]),
        sizes=np.array(sizes),
        device=first.device if isinstance(first, Tensor) else None,
        dtype=_floating(first),
        scores_dtype=_floating(fields['keypoint_scores'][0]),
    )


def _on_host(field: list[Array]) -> np.ndarray:
    """Concatenate arrays or tensors to one float64 array on the host."""
    if isinstance(field[0], Tensor):
        values = torch.cat([image.detach() for image in field])
        return values.double().cpu().numpy()
    return np.concatenate(field, dtype=np.float64)


def _floating(array: Array) -> Any:
    """The dtype of an array, or float64 in the place of integers."""
    if isinstance(array, Tensor):
        return array.dtype if array.is_floating_point() else torch.float64
    return array.dtype if array.dtype.kind == 'f' else np.dtype(np.float64)


def _check_shapes(fields: dict[str, list[Array]]) -> None:
    """Refuse arrays that don't belong together."""
    num_images = len(fields['keypoints'])
    for name, field in fields.items():
        if len(field) != num_images:
            raise ValueError(
                f'{num_images} images have keypoints, {len(field)} {name}'
            )
    for index, keypoints in enumerate(fields['keypoints']):
        number, num_joints = (*keypoints.shape, 0, 0)[:2]
        shapes = dict(
            keypoints=(number, num_joints, 2),
            keypoint_scores=(number, num_joints),
            bboxes_xyxy=(number, 4),
        )
        for name, field in fields.items():
            shape, expected = field[index].shape, shapes.get(name, (number,))
            if tuple(shape) != expected:
                raise ValueError(
                    f'{name} of image {index} must have the shape {expected}, '
                    f'for {number} poses of {num_joints} keypoints, but got '
                    f'{tuple(shape)}'
                )


def split_images(
    poses: PoseBatch, selection: Selection
) -> list[PoseNMSResult]:
    """The selection of every image, best persons first, as the input was."""
    kept = selection.kept
    images = poses.images[kept]
    order = np.lexsort((-selection.scores, images))
    counts = np.bincount(images, minlength=len(poses.sizes))

    def send(values: np.ndarray, dtype: Any) -> Array:
        if poses.device is None:
            return values.astype(dtype)
        return torch.from_numpy(values).to(poses.device, dtype)

    integer = np.int64 if poses.device is None else torch.int64
    members = send(poses.indices[selection.members], integer)
    stops = selection.sizes.cumsum()
    parts = np.stack([stops - selection.sizes, stops], 1)[order].tolist()
    fields = (
        send(poses.indices[kept[order]], integer),
        [members[start:stop] for start, stop in parts],
        send(selection.keypoints[order], poses.dtype),
        send(selection.keypoint_scores[order], poses.scores_dtype),
        send(selection.scores[order], poses.scores_dtype),
    )
    stops = counts.cumsum()
    return [
        PoseNMSResult(*(field[start:stop] for field in fields))
        for start, stop in np.stack([stops - counts, stops], 1).tolist()
    ]
