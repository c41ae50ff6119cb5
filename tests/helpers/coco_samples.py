"""COCO results as what a model hands to a metric."""

from collections import defaultdict

import numpy as np
from mmpose.datasets.datasets.utils import parse_pose_metainfo

META = parse_pose_metainfo(dict(from_file='configs/_base_/datasets/coco.py'))


def samples_of(results, bottom_up=True):
    """COCO results as the data samples of a model's predictions."""
    images = defaultdict(list)
    for result in results:
        images[result['image_id']].append(result)
    samples = []
    for image_id, persons in images.items():
        kpts = np.array([p['keypoints'] for p in persons], dtype=np.float64)
        kpts = kpts.reshape(len(persons), -1, 3)
        scores = np.array([p['score'] for p in persons])
        low, high = kpts[..., :2].min(1), kpts[..., :2].max(1)
        if bottom_up:
            samples.append(
                dict(
                    id=list(range(len(persons))),
                    img_id=image_id,
                    gt_instances={},
                    pred_instances=dict(
                        keypoints=kpts[..., :2],
                        keypoint_scores=kpts[..., 2],
                        bbox_scores=scores,
                    ),
                )
            )
            continue
        for i in range(len(persons)):
            samples.append(
                dict(
                    id=len(samples),
                    img_id=image_id,
                    gt_instances=dict(
                        bbox_scores=scores[[i]],
                        bbox_scales=1.25 * (high - low)[[i]],
                    ),
                    pred_instances=dict(
                        keypoints=kpts[[i], :, :2],
                        keypoint_scores=kpts[[i], :, 2],
                        bboxes=np.concatenate([low, high], 1)[[i]],
                    ),
                )
            )
    return samples


def evaluate(metric, samples, meta=META):
    metric.dataset_meta = dict(meta)
    metric.process({}, samples)
    return metric.evaluate(len(samples))
