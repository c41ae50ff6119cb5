"""People in pictures as the data sets of top-down configs give them."""

from copy import deepcopy

import numpy as np
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS


def person(cfg, seed):
    """A person in a picture, as the config's data set would give it."""
    rng = np.random.default_rng(seed)
    dataset = DATASETS.get(cfg.train_dataloader.dataset.type)
    meta = parse_pose_metainfo(deepcopy(dataset.METAINFO))
    joints = meta['num_keypoints']
    bbox = np.array([[60, 20, 120, 130]], dtype=np.float32)
    keypoints = rng.uniform((65, 25), (115, 125), (1, joints, 2))
    results = dict(
        img=rng.integers(0, 255, (150, 200, 3), dtype=np.uint8),
        img_shape=(150, 200),
        ori_shape=(150, 200),
        img_path='an image',
        img_id=seed,
        id=seed,
        bbox=bbox,
        bbox_score=np.ones(1, dtype=np.float32),
        keypoints=keypoints.astype(np.float32),
        keypoints_visible=np.ones((1, joints), dtype=np.float32),
        dataset_keypoint_weights=meta['dataset_keypoint_weights'],
        flip_indices=meta['flip_indices'],
        upper_body_ids=meta['upper_body_ids'],
        lower_body_ids=meta['lower_body_ids'],
    )
    if 'Mpii' in cfg.train_dataloader.dataset.type:
        # This data set gives the box in both forms.
        results['bbox_center'] = (bbox[:, :2] + bbox[:, 2:]) / 2
        results['bbox_scale'] = bbox[:, 2:] - bbox[:, :2]
    return results
