"""COCO evaluation with any pose NMS."""

import logging
from collections import defaultdict
from typing import Any

import numpy as np
from mmengine.logging import print_log
from mmpose.evaluation.metrics import CocoMetric
from mmpose.registry import METRICS, TASK_UTILS


@METRICS.register_module()
class PoseNMSCocoMetric(CocoMetric):
    """mmpose's ``CocoMetric`` with any pose NMS of the registry.

    Each image's poses are scored as ``score_mode`` says, then pass the NMS;
    what it returns, with merged poses and lowered scores, is evaluated and
    written to the results file. A pose that was merged gets its score by the
    same formula from its new joint scores and the box score of the pose that
    was kept:

    - ``'bbox'``: the box score b
    - ``'keypoint'``: mean of the joint scores c
    - ``'bbox_keypoint'``: b times the mean of all c > ``keypoint_score_thr``
    - ``'bbox_rle'``: b + mean of c + max of c

    Args:
        nms (dict, optional): Config of the NMS, for example
            ``dict(type='ParametricPoseNMS', preset='coco')``,
            ``dict(type='OKSNMS', thr=0.9)``, ``dict(type='SoftOKSNMS')`` or
            ``dict(type='NearbyJointsNMS')``. Sigmas, where it needs some,
            are the data set's. Defaults to None, no NMS.
        **kwargs: Arguments of ``mmpose.evaluation.CocoMetric`` but for
            ``nms_mode`` and ``nms_thr``.

    Raises:
        TypeError: If ``nms_mode`` or ``nms_thr`` is given.
    """

    def __init__(self, nms: dict | None = None, **kwargs: Any) -> None:
        for name in ('nms_mode', 'nms_thr'):
            if name in kwargs:
                raise TypeError(
                    f'PoseNMSCocoMetric has no {name}: choose the NMS by '
                    "nms=dict(type='OKSNMS', thr=0.9) or another, or none by "
                    'nms=None'
                )
        super().__init__(nms_mode='none', **kwargs)
        self.nms = None if nms is None else TASK_UTILS.build(nms)
        self.uses_own_sigmas = getattr(self.nms, 'sigmas', 0) is not None

    def results2json(
        self, keypoints: dict[int, list], outfile_prefix: str
    ) -> None:
        """Apply the NMS and write the results file.

        Args:
            keypoints (dict): The scored instances of every image.
            outfile_prefix (str): The file is this with
                ``.keypoints.json``.
        """
        if not keypoints:
            print_log(
                'the model found no pose in any image: all scores will be 0',
                'current',
                level=logging.WARNING,
            )
        elif self.nms is not None:
            keypoints = self.suppress(keypoints)
        super().results2json(keypoints, outfile_prefix)

    def suppress(self, images: dict[int, list[dict]]) -> dict[int, list]:
        """Apply the NMS to the instances of all images.

        Args:
            images (dict): For every image id its instances, with
                ``keypoints`` (K, 3), ``bbox_score``, ``area``, ``score`` and
                maybe ``bbox`` (x, y, w, h).

        Returns:
            dict: The same with the instances that are kept.
        """
        if not self.uses_own_sigmas:
            self.nms.sigmas = self.dataset_meta['sigmas']
        fields = defaultdict(list)
        for instances in images.values():
            poses = np.stack([each['keypoints'] for each in instances])
            fields['keypoints'].append(poses[..., :2])
            fields['keypoint_scores'].append(poses[..., 2])
            fields['bboxes_xyxy'].append(_boxes(instances, poses))
            for field, name in (('scores', 'score'), ('areas', 'area')):
                values = [float(each[name]) for each in instances]
                fields[field].append(np.array(values))
        results = self.nms.batch(**fields)
        kept = defaultdict(list)
        for (image, instances), result in zip(
            images.items(), results, strict=True
        ):
            for index, kpts, joint_scores, score in zip(
                result.keep.tolist(),
                result.keypoints,
                result.keypoint_scores,
                result.scores.tolist(),
                strict=True,
            ):
                instance = dict(instances[index])
                if (joint_scores != instance['keypoints'][:, 2]).any():
                    # a decay of the score stays, whatever the joints become
                    merged = self.person_score(
                        joint_scores, float(instance['bbox_score'])
                    )
                    before = float(instance['score'])
                    score = merged * (score / before if before else 1.0)
                pose = np.concatenate([kpts, joint_scores[:, None]], 1)
                kept[image].append(
                    {
                        **instance,
                        'keypoints': pose,
                        'keypoint_scores': joint_scores,
                        'score': score,
                    }
                )
        return kept

    def person_score(
        self, keypoint_scores: np.ndarray, bbox_score: float
    ) -> float:
        """A person's score by ``score_mode``.

        Args:
            keypoint_scores (np.ndarray): Scores (K,) of the joints.
            bbox_score (float): Score of the box.

        Returns:
            float: The score.
        """
        if self.score_mode == 'bbox':
            return bbox_score
        if self.score_mode == 'keypoint':
            return float(keypoint_scores.mean())
        if self.score_mode == 'bbox_rle':
            return float(
                bbox_score + keypoint_scores.mean() + keypoint_scores.max()
            )
        good = keypoint_scores[keypoint_scores > self.keypoint_score_thr]
        return float(bbox_score * good.mean()) if len(good) else 0.0


def _boxes(instances: list[dict], poses: np.ndarray) -> np.ndarray:
    """The instances' boxes (N, 4) as xyxy, or the extents of their poses."""
    if 'bbox' in instances[0]:
        boxes = np.array([each['bbox'] for each in instances])
        boxes = boxes.reshape(len(instances), 4).astype(np.float64)
        boxes[:, 2:] += boxes[:, :2]
        return boxes
    return np.concatenate([poses[..., :2].min(1), poses[..., :2].max(1)], 1)
