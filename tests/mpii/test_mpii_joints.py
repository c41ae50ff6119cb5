"""The joints of MPII beside mmpose's description of them."""

import numpy as np
import pytest
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from rmpe_spm.mpii.annotations import (
    COLUMNS,
    MPII14,
    MPII14_IDS,
    MPII16,
    evaluated_joints,
    head_size,
)


def test_names_are_mmposes():
    meta = parse_pose_metainfo(
        dict(from_file='configs/_base_/datasets/mpii.py')
    )
    assert [meta['keypoint_id2name'][i] for i in range(16)] == list(MPII16)
    assert MPII14_IDS.tolist() == [0, 1, 2, 3, 4, 5, *range(8, 16)]
    assert sorted(sum(COLUMNS.values(), ())) == sorted(MPII14)
    for column, joints in COLUMNS.items():
        if column != 'Head':
            assert joints[0] == 'right_' + column.lower()
            assert joints[1] == 'left_' + column.lower()


def test_evaluated_joints():
    values = np.arange(32).reshape(1, 16, 2)
    chosen = evaluated_joints(values)
    assert chosen.shape == (1, 14, 2)
    assert chosen[0, 5:7, 0].tolist() == [10, 16]
    assert evaluated_joints(chosen) is chosen
    assert evaluated_joints(values[..., 0]).shape == (1, 14)
    with pytest.raises(ValueError, match='these have 17'):
        evaluated_joints(np.zeros((2, 17)))


def test_head_size_by_hand():
    boxes = np.array([[10.0, 20, 40, 60], [0, 0, 0, 5]])
    np.testing.assert_allclose(head_size(boxes), [30, 3])
