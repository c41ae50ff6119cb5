"""The chain from COCO's annotations to its metric, the network being right.

What is lost is what the representation cannot hold.
"""

import io
from contextlib import redirect_stdout

import cv2
import numpy as np
import pytest
import torch
from mmpose.registry import DATASETS, METRICS
from spm_maps import answer, make_estimator, perfect_maps

META = 'id img_id img_path ori_shape input_size input_center input_scale'


@pytest.fixture(scope='module')
def photographs(shared_dir):
    """The data set and the samples of its test pipeline."""
    resize = dict(input_size=(256, 256), resize_mode='expand')
    dataset = DATASETS.build(
        dict(
            type='CocoDataset',
            data_root=str(shared_dir / 'data' / 'coco_mini'),
            data_mode='bottomup',
            ann_file='annotations/person_keypoints_val2017.json',
            data_prefix=dict(img='val2017/'),
            test_mode=True,
            pipeline=[
                dict(type='LoadImage'),
                dict(type='BottomupResize', **resize),
                dict(type='PackPoseInputs', meta_keys=META.split()),
            ],
        )
    )
    numbers = range(len(dataset))
    return dataset, [dataset[i]['data_samples'] for i in numbers]


def oracle_ap(photographs, **options):
    dataset, samples = photographs
    sizes = dict(input_size=(256, 256), heatmap_size=(64, 64))
    codec = dict(type='HierarchicalSPRCodec', **sizes, **options)
    model = make_estimator(codec)
    model.extract_feat = lambda inputs: None
    metric = METRICS.build(
        dict(
            type='CocoMetric',
            ann_file=dataset.ann_file,
            score_mode='keypoint',
            nms_mode='none',
        )
    )
    metric.dataset_meta = dataset.metainfo
    codec = model.head.decoder
    for sample in samples:
        meta, people = sample.metainfo, sample.gt_instances
        size = np.array(meta['input_size'])
        keypoints = people.keypoints - meta['input_center']
        keypoints = keypoints / meta['input_scale'] * size + size / 2
        codec.heatmap_size = tuple(size // 4)
        maps = perfect_maps(codec, [keypoints], people.keypoints_visible)
        answer(model.head, maps)
        (result,) = model.predict(torch.zeros(1), [sample])
        metric.process(None, [result.to_dict()])
    with redirect_stdout(io.StringIO()):
        return metric.evaluate(len(samples))['coco/AP']


def test_flat_loses_people_on_the_same_cells_only(photographs):
    cv2.setNumThreads(1)
    small = dict(sigma=3, tau=3, overlap='nearest')
    assert oracle_ap(photographs, kinematics='coco-flat', **small) > 0.98
    # the hierarchy needs the parents of what it is to reach
    assert oracle_ap(photographs, missing_parent='ancestor', **small) > 0.98
    skipping = oracle_ap(photographs, **small)
    assert 0.8 < skipping < 0.9
    # and large windows on a small map mix people up
    assert oracle_ap(photographs) < skipping - 0.1
