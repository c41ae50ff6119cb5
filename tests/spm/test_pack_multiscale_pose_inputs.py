import numpy as np
import pytest
from mmpose.registry import TRANSFORMS


def build(**options):
    return TRANSFORMS.build(dict(type='PackMultiscalePoseInputs', **options))


def test_packs_every_scale():
    images = [
        np.full((8 * s, 10 * s, 3), s, dtype=np.uint8) for s in (2, 1, 3)
    ]
    results = dict(
        img=images,
        img_id=5,
        keypoints=np.zeros((1, 17, 2)),
        aug_scales=[0.5, 1.5],
        aug_input_sizes=[(10, 8), (30, 24)],
        aug_input_scales=[np.ones(2), np.ones(2)],
    )
    packed = build()(results)
    assert [tuple(i.shape) for i in packed['inputs']] == [
        (3, 16, 20),
        (3, 8, 10),
        (3, 24, 30),
    ]
    assert [int(i.max()) for i in packed['inputs']] == [2, 1, 3]
    meta = packed['data_samples'].metainfo
    assert meta['aug_scales'] == [0.5, 1.5] and meta['img_id'] == 5
    assert meta['aug_input_sizes'] == [(10, 8), (30, 24)]
    assert 'keypoints' in packed['data_samples'].gt_instances
    few = build(meta_keys=('img_id',))(results)['data_samples'].metainfo
    assert set(few) == {
        'img_id',
        'aug_scales',
        'aug_input_sizes',
        'aug_input_scales',
    }


def test_one_size_only():
    with pytest.raises(ValueError, match='aug_scales'):
        build()(dict(img=np.zeros((4, 4, 3), dtype=np.uint8)))
