"""The chain from COCO's annotations to its metric, the network being right.

What is lost is what the representation cannot hold.
"""

import io
from contextlib import redirect_stdout

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from mmpose.registry import DATASETS, METRICS, MODELS

ANNOTATIONS = 'annotations/person_keypoints_val2017.json'


@pytest.fixture(scope='module')
def photographs(shared_dir):
    """The samples of the test pipeline, without pixels."""
    root = str(shared_dir / 'data' / 'coco_mini') + '/'
    resize = dict(
        type='BottomupResize', input_size=(256, 256), resize_mode='expand'
    )
    keys = 'id img_id img_path ori_shape input_size input_center input_scale'
    dataset = DATASETS.build(
        dict(
            type='CocoDataset',
            data_root=root,
            data_mode='bottomup',
            ann_file=ANNOTATIONS,
            data_prefix=dict(img='val2017/'),
            test_mode=True,
            pipeline=[],
        )
    )
    pipeline = [
        dict(type='LoadImage'),
        resize,
        dict(type='PackPoseInputs', meta_keys=keys.split()),
    ]
    load = Compose(pipeline)
    return (
        root,
        dataset,
        [
            load(dataset.get_data_info(i))['data_samples']
            for i in range(len(dataset))
        ],
    )


def oracle_ap(photographs, **options):
    root, dataset, samples = photographs
    codec = dict(
        type='HierarchicalSPRCodec',
        input_size=(256, 256),
        heatmap_size=(64, 64),
        **options,
    )
    head = dict(type='SPMHead', in_channels=4, num_keypoints=17, decoder=codec)
    model = MODELS.build(
        dict(
            type='BottomupPoseEstimator',
            backbone=dict(type='MobileNetV2', widen_factor=0.1),
            head=head,
        )
    )
    metric = METRICS.build(
        dict(
            type='CocoMetric',
            ann_file=root + ANNOTATIONS,
            score_mode='keypoint',
            nms_mode='none',
        )
    )
    metric.dataset_meta = dataset.metainfo
    codec = model.head.decoder
    for sample in samples:
        meta = sample.metainfo
        size = np.array(meta['input_size'])
        keypoints = sample.gt_instances.keypoints - meta['input_center']
        keypoints = keypoints / meta['input_scale'] * size + size / 2
        codec.heatmap_size = tuple(size // 4)
        visible = sample.gt_instances.keypoints_visible
        encoded = codec.encode(keypoints, visible)
        maps = tuple(
            torch.tensor(encoded[key])[None]
            for key in ('heatmaps', 'displacements')
        )
        model.extract_feat = lambda inputs: None
        model.head.forward = lambda feats, maps=maps: maps
        result = model.predict(torch.zeros(1), [sample])[0]
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
