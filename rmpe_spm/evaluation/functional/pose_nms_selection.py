"""What an NMS keeps of a batch of poses, and its results by image."""

from dataclasses import dataclass
from typing import Union

import numpy as np
import torch

from .pose_nms_batch import PoseBatch
from .pose_nms_result import PoseNMSResult


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
