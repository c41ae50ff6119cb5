"""Pose NMS on what mmpose's inference functions return."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.structures import InstanceData
from mmpose.apis import Pose2DInferencer
from mmpose.registry import INFERENCERS, TASK_UTILS
from mmpose.structures import PoseDataSample, merge_data_samples

from ..poses import bboxes_around
from .base import BasePoseNMS
from .oks_nms import OKSNMS, NearbyJointsNMS, SoftOKSNMS
from .parametric import ParametricPoseNMS

# here, since the rules themselves run on numpy alone
for _rule in (ParametricPoseNMS, OKSNMS, SoftOKSNMS, NearbyJointsNMS):
    TASK_UTILS.register_module(module=_rule)


def suppress_redundant_poses(
    data_samples: Sequence[PoseDataSample], nms: BasePoseNMS | dict
) -> PoseDataSample:
    """Leave one pose a person among the poses of one image.

    Takes what ``mmpose.apis.inference_topdown`` returns, one sample a box, or
    samples that hold several poses already. Of the result's
    ``pred_instances``, best person first, ``keypoints`` and
    ``keypoint_scores`` are merged where the NMS merges, ``bboxes`` and
    ``bbox_scores`` are those of the pose that is kept, and ``scores`` (M,) is
    new: of the persons, as the NMS says. ``gt_instances`` still has every
    box.

    Args:
        data_samples (Sequence[PoseDataSample]): Samples of one image, with
            ``pred_instances`` in its pixels. Poses without ``bboxes`` get the
            extents of their joints.
        nms (BasePoseNMS | dict): A pose NMS or its config, for example
            ``dict(type='ParametricPoseNMS', preset='coco')``.

    Returns:
        PoseDataSample: One sample with the poses that are kept.

    Raises:
        ValueError: If there is no sample, one without predictions, or
            samples of more than one image.
    """
    if len(data_samples) == 0:
        raise ValueError('suppress_redundant_poses: there is no data sample')
    path = data_samples[0].metainfo.get('img_path')
    for index, sample in enumerate(data_samples):
        if 'pred_instances' not in sample:
            raise ValueError(
                f'suppress_redundant_poses: data sample {index} has no '
                "pred_instances: give it a model's predictions"
            )
        other = sample.metainfo.get('img_path')
        if other != path:
            raise ValueError(
                'suppress_redundant_poses takes the samples of one image, '
                f'got those of {path} and {other}'
            )
    merged = merge_data_samples(list(data_samples))
    merged.pred_instances = best_poses(merged.pred_instances, nms)
    return merged


def best_poses(poses: InstanceData, nms: BasePoseNMS | dict) -> InstanceData:
    """What :func:`suppress_redundant_poses` says of ``pred_instances``."""
    if isinstance(nms, dict):
        # whatever the default scope is, say mmdet's
        nms = TASK_UTILS.build({'_scope_': 'mmpose', **nms})
    boxes = poses.get('bboxes')
    if boxes is None:
        boxes = bboxes_around(poses.keypoints[..., :2], poses.keypoint_scores)
    kept = nms(
        poses.keypoints[..., :2],
        poses.keypoint_scores,
        boxes,
        poses.get('bbox_scores'),
    )
    # mmpose copies the scores of joints where no head predicts visibility,
    # and draws by that copy.
    visible = poses.get('keypoints_visible')
    is_copy = visible is not None and np.array_equal(
        visible, poses.keypoint_scores, equal_nan=True
    )
    poses = poses[kept.keep]
    poses.keypoints = np.concatenate(
        (kept.keypoints, poses.keypoints[..., 2:]), -1
    ).astype(poses.keypoints.dtype)
    poses.keypoint_scores = kept.keypoint_scores.astype(
        poses.keypoint_scores.dtype
    )
    if is_copy:
        poses.keypoints_visible = poses.keypoint_scores
    poses.scores = kept.scores
    return poses


@INFERENCERS.register_module()
class PoseNMSInferencer(Pose2DInferencer):
    """mmpose's ``Pose2DInferencer`` whose calls take a pose NMS.

    ``inferencer(images, pose_nms=dict(type='ParametricPoseNMS'))`` leaves one
    pose a person, as ``suppress_redundant_poses`` does. There is something
    to suppress where boxes are redundant: give a low ``bbox_thr`` and a high
    ``nms_thr`` too. Everything else is mmpose's.

    Example::

        inferencer = PoseNMSInferencer('config.py', 'weights.pth')
        results = inferencer(
            'image.jpg', bbox_thr=0.1, nms_thr=0.65,
            pose_nms=dict(type='ParametricPoseNMS', preset='coco'))
        next(results)['predictions']
    """

    forward_kwargs: set = {*Pose2DInferencer.forward_kwargs, 'pose_nms'}

    def forward(
        self,
        inputs: dict | tuple,
        merge_results: bool = True,
        pose_nms: BasePoseNMS | dict | None = None,
        **kwargs: Any,
    ) -> list[PoseDataSample]:
        """Predict the poses of one image, as ``Pose2DInferencer`` does.

        ``pose_nms`` is a pose NMS or its config; with it
        ``merge_results=False`` is a ``ValueError``.
        """
        if pose_nms is not None and not merge_results:
            raise ValueError(
                'pose_nms compares the poses of an image, which '
                'merge_results=False leaves apart: leave one of them out'
            )
        samples = super().forward(inputs, merge_results, **kwargs)
        if pose_nms is not None:
            # not merged once more, which would warp the heatmaps again
            for sample in samples:
                sample.pred_instances = best_poses(
                    sample.pred_instances, pose_nms
                )
        return samples
