"""From the padded poses of a batch to mmpose's instances, image by image."""

import warnings
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from mmengine.structures import InstanceData

from ...structures.padded_poses import PaddedPoses
from ...structures.pose_boxes import bboxes_around

# Keypoints (N, K, 2) and their scores (N, K) of each image
ImagePoses = tuple[list[np.ndarray], list[np.ndarray]]


def unpad_poses(
    poses: PaddedPoses, metainfos: Sequence[Mapping]
) -> ImagePoses:
    """Take the poses out of their padding, with one wait for the device.

    An image whose maps were not finite is reported in a warning, by its path
    or id, and has no poses.

    Args:
        poses (PaddedPoses): Those of B images.
        metainfos (Sequence[Mapping]): What is known of these images.

    Returns:
        tuple[list[np.ndarray], list[np.ndarray]]: For each image the
        keypoints (N, K, 2) and their scores (N, K), those of the highest root
        first, float32.
    """
    num_joints = poses.keypoints.shape[2]
    flags = torch.stack(
        (poses.valid, poses.finite[:, None].expand_as(poses.valid)), dim=-1
    )
    packed = torch.cat(
        (poses.keypoints.flatten(2), poses.keypoint_scores, flags.float()),
        dim=-1,
    )
    keypoints, scores = [], []
    for metainfo, image in zip(metainfos, packed.cpu().numpy(), strict=True):
        if not image[0, -1]:
            name = metainfo.get('img_path', metainfo.get('img_id', 'unknown'))
            warnings.warn(
                f'SPMHead: the predicted maps of image {name} hold NaN or '
                'infinity; it yields no poses',
                RuntimeWarning,
            )
        # the poses come before the other candidates
        image = image[: np.count_nonzero(image[:, -2])]
        keypoints.append(image[:, : 2 * num_joints].reshape(-1, num_joints, 2))
        scores.append(image[:, 2 * num_joints : 3 * num_joints])
    return keypoints, scores


def best_instances(
    poses: ImagePoses, limit: int, nms_batch: Callable | None = None
) -> list[InstanceData]:
    """Choose the poses of each image that are its people.

    Args:
        poses (tuple): Keypoints (N, K, 2) and scores (N, K) of each image.
        limit (int): The most people of an image.
        nms_batch (Callable, optional): ``batch`` of a pose NMS from
            ``TASK_UTILS``, which takes all images at once. Defaults to
            ``None``: nothing is suppressed.

    Returns:
        list[InstanceData]: ``keypoints``, ``keypoint_scores``, ``bboxes`` (in
        xyxy format, around the joints) and ``bbox_scores`` (without an NMS
        the mean of the joints') of each image, best first.
    """
    if nms_batch is None:
        return [
            _best_people(*image, limit) for image in zip(*poses, strict=True)
        ]
    boxes = [bboxes_around(keypoints) for keypoints in poses[0]]
    return [
        _to_instances(
            kept.keypoints[:limit],
            kept.keypoint_scores[:limit],
            kept.scores[:limit],
        )
        for kept in nms_batch(*poses, boxes)
    ]


def _best_people(
    keypoints: np.ndarray, scores: np.ndarray, limit: int
) -> InstanceData:
    """The instances of one image, those of the highest mean score first."""
    instance_scores = scores.mean(axis=1)
    best = np.argsort(-instance_scores, kind='stable')[:limit]
    return _to_instances(keypoints[best], scores[best], instance_scores[best])


def _to_instances(
    keypoints: np.ndarray, scores: np.ndarray, instance_scores: np.ndarray
) -> InstanceData:
    return InstanceData(
        keypoints=keypoints,
        keypoint_scores=scores,
        bboxes=bboxes_around(keypoints),
        bbox_scores=instance_scores,
    )
