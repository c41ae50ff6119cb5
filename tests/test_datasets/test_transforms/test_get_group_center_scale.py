import numpy as np
import pytest
from mmpose.registry import TRANSFORMS

from rmpe_spm.datasets.transforms import GetGroupCenterScale


def test_padded_box_by_hand():
    transform = TRANSFORMS.build(dict(type='GetGroupCenterScale', padding=1.5))
    results = transform(dict(group_bbox=np.array([[10, 20, 50, 100.0]])))
    assert results['bbox_center'].tolist() == [[30, 60]]
    assert results['bbox_scale'].tolist() == [[60, 120]]
    assert results['bbox_scale'].dtype == np.float32
    assert repr(transform) == 'GetGroupCenterScale(padding=1.5)'


def test_sample_without_group():
    with pytest.raises(ValueError, match='needs the "group_bbox"'):
        GetGroupCenterScale()(dict(bbox=1))
