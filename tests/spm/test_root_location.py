import numpy as np
import pytest

from rmpe_spm.spm.heatmaps import (
    check_root_type,
    instance_diagonals,
    instance_roots,
)
from rmpe_spm.spm.kinematics import build_kinematic_tree

TREE = build_kinematic_tree('coco')


def person(joints):
    keypoints = np.zeros((1, 17, 2))
    labelled = np.zeros((1, 17), dtype=bool)
    for joint, xy in joints.items():
        keypoints[0, joint], labelled[0, joint] = xy, True
    return keypoints, labelled


@pytest.mark.parametrize(
    ('root_type', 'expected'),
    [
        ('kpt_center', (4, 5)),
        ('bbox_center', (5, 6)),
        ('pelvis', (5, 9)),
        ('nose', (2, 0)),
        (11, (0, 6)),
        ('left_wrist', (4, 5)),  # not labelled: the mean
    ],
)
def test_root_types(root_type, expected):
    keypoints, labelled = person(
        {0: (2, 0), 5: (4, 2), 11: (0, 6), 12: (10, 12)}
    )
    keypoints[0, 9] = (1e9, np.nan)  # what an unlabelled joint may hold
    roots, valid = instance_roots(keypoints, labelled, root_type, TREE)
    np.testing.assert_allclose(roots, [expected])
    assert valid.tolist() == [True]


def test_pelvis_needs_both_hips():
    keypoints, labelled = person({0: (2, 0), 11: (0, 6)})
    roots, _ = instance_roots(keypoints, labelled, 'pelvis', TREE)
    np.testing.assert_allclose(roots, [(1, 3)])


def test_pelvis_joint_is_preferred():
    tree = build_kinematic_tree('mpii')
    keypoints = np.arange(32.0).reshape(1, 16, 2)
    labelled = np.ones((1, 16), dtype=bool)
    roots, _ = instance_roots(keypoints, labelled, 'pelvis', tree)
    np.testing.assert_allclose(roots, keypoints[:, 6])


def test_diagonals():
    keypoints, labelled = person({0: (1, 1), 7: (4, 5), 9: (2, 3)})
    np.testing.assert_allclose(instance_diagonals(keypoints, labelled), [5])


@pytest.mark.parametrize('root_type', ['kpt_center', 'bbox_center', 'pelvis'])
def test_nobody_and_no_labels(root_type):
    keypoints, labelled = person({})
    roots, valid = instance_roots(keypoints, labelled, root_type, TREE)
    assert roots.tolist() == [[0, 0]] and valid.tolist() == [False]
    assert instance_diagonals(keypoints, labelled).tolist() == [0]
    roots, valid = instance_roots(keypoints[:0], labelled[:0], root_type, TREE)
    assert roots.shape == (0, 2) and valid.shape == (0,)
    assert instance_diagonals(keypoints[:0], labelled[:0]).shape == (0,)


def test_impossible_root_types():
    check_root_type('pelvis', build_kinematic_tree('panoptic'))
    with pytest.raises(ValueError, match='root_type=-1'):
        check_root_type(-1, TREE)
    with pytest.raises(ValueError, match="'mid_hip'"):
        check_root_type('pelvis', build_kinematic_tree([-1, -1]))
