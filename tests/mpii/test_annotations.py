"""The joints of MPII beside mmpose's description, and what readers check."""

import numpy as np
import pytest
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from rmpe_spm.mpii.annotations import (
    MPII14,
    MPII14_IDS,
    MPII16,
    MpiiImage,
    evaluated_joints,
    head_size,
    mpii14_metainfo,
)
from rmpe_spm.mpii.ap import COLUMNS
from rmpe_spm.spm.kinematics import build_kinematic_tree

WHOLE = dict(from_file='configs/_base_/datasets/mpii.py')


def test_names_are_mmposes():
    meta = parse_pose_metainfo(WHOLE)
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


def test_fourteen_joints():
    old = parse_pose_metainfo(WHOLE)
    new = parse_pose_metainfo(mpii14_metainfo(old))
    names = [new['keypoint_id2name'][i] for i in range(14)]
    # the order of the kinematic tree
    assert tuple(names) == build_kinematic_tree('mpii14').joint_names
    assert new['num_keypoints'] == 14
    for i, name in enumerate(names):
        j = old['keypoint_name2id'][name]
        partner = old['keypoint_id2name'][old['flip_indices'][j]]
        assert names[new['flip_indices'][i]] == partner
        assert new['sigmas'][i] == old['sigmas'][j]
        assert (
            new['dataset_keypoint_weights'][i]
            == old['dataset_keypoint_weights'][j]
        )
        assert (i in new['upper_body_ids']) == (j in old['upper_body_ids'])
    links = {(names[a], names[b]) for a, b in new['skeleton_links']}
    assert ('right_ankle', 'right_knee') in links
    assert ('left_shoulder', 'left_hip') in links
    linked = {name for link in links for name in link}
    assert linked == set(names)


def test_only_annotated_people_are_checked():
    image = MpiiImage.unknown('1.jpg', 2)
    image.keypoints[:] = np.inf
    image.head_sizes[:] = 0
    assert image.check('file') is image
    image.annotated[1, 4] = True
    with pytest.raises(ValueError, match='file: image 1.jpg, person 2: joi'):
        image.check('file')
    image.keypoints[:] = 0
    with pytest.raises(ValueError, match='person 2 has a head of size 0'):
        image.check('file')
