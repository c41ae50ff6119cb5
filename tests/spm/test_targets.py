"""Where roots lie, Gaussian peaks, and what windows hold."""

import numpy as np
import pytest

from rmpe_spm.spm.displacements import People, displacement_maps
from rmpe_spm.spm.heatmaps import (
    Grid,
    gaussian_maps,
    instance_diagonals,
    instance_roots,
    root_joints,
)
from rmpe_spm.spm.kinematics import PoseRepresentation, build_kinematic_tree

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
    roots = instance_roots(keypoints, labelled, root_type, TREE)
    np.testing.assert_allclose(roots, [expected])


def test_pelvis_needs_both_hips():
    keypoints, labelled = person({0: (2, 0), 11: (0, 6)})
    roots = instance_roots(keypoints, labelled, 'pelvis', TREE)
    np.testing.assert_allclose(roots, [(1, 3)])


def test_pelvis_joint_is_preferred():
    tree = build_kinematic_tree('mpii')
    keypoints = np.arange(32.0).reshape(1, 16, 2)
    labelled = np.ones((1, 16), dtype=bool)
    roots = instance_roots(keypoints, labelled, 'pelvis', tree)
    np.testing.assert_allclose(roots, keypoints[:, 6])


def test_diagonals():
    keypoints, labelled = person({0: (1, 1), 7: (4, 5), 9: (2, 3)})
    np.testing.assert_allclose(instance_diagonals(keypoints, labelled), [5])


@pytest.mark.parametrize('root_type', ['kpt_center', 'bbox_center', 'pelvis'])
def test_nobody_and_no_labels(root_type):
    keypoints, labelled = person({})
    roots = instance_roots(keypoints, labelled, root_type, TREE)
    assert roots.tolist() == [[0, 0]]
    assert People(keypoints, labelled, roots).valid.tolist() == [False]
    assert instance_diagonals(keypoints, labelled).tolist() == [0]
    roots = instance_roots(keypoints[:0], labelled[:0], root_type, TREE)
    assert roots.shape == (0, 2)
    assert instance_diagonals(keypoints[:0], labelled[:0]).shape == (0,)


def test_impossible_root_types():
    assert root_joints('pelvis', build_kinematic_tree('panoptic'))
    with pytest.raises(ValueError, match='root_type=-1'):
        root_joints(-1, TREE)
    with pytest.raises(ValueError, match="'mid_hip'"):
        root_joints('pelvis', build_kinematic_tree([-1, -1]))


def test_gaussians_take_the_highest_and_follow_the_metric():
    centers = np.array([[[3.0, 2.0]], [[6.5, 2.0]]])
    grid = Grid((12, 5), np.array([1.0, 2.0]), 1.0)
    maps = gaussian_maps(centers, np.ones((2, 1), bool), 2.0, grid)
    x, y = np.arange(12), np.arange(5)[:, None]
    peaks = [
        np.exp(-((x - cx) ** 2 + 4 * (y - 2.0) ** 2) / 4) for cx in (3.0, 6.5)
    ]
    np.testing.assert_allclose(maps[0], np.maximum(*peaks), atol=1e-7)
    assert maps[0, 2, 3] == 1


def test_gaussians_far_away_are_cut_to_zero():
    centers = np.array([[[0.0, 0.0], [1e15, np.pi]]])
    grid = Grid((64, 64), np.ones(2), 1.0)
    maps = gaussian_maps(centers, np.ones((1, 2), bool), 1.0, grid)
    assert maps[0, 63, 63] == 0 and maps[0].max() == 1
    assert (maps[1] == 0).all()


def test_invalid_peaks_are_not_drawn():
    shown = np.array([[False, True, False]] * 2)
    grid = Grid((8, 8), np.ones(2), 1.0)
    maps = gaussian_maps(np.full((2, 3, 2), 4.0), shown, 1.0, grid)
    assert maps.any(axis=(1, 2)).tolist() == [False, True, False]


def draw(location='root', labelled=((True, True), (True, True)), **options):
    """Two persons of a chain of two joints, roots 4 cells apart."""
    people = People(
        np.array([[[4.0, 3.0], [4.0, 1.0]], [[8.0, 4.0], [9.0, 7.0]]]),
        np.array(labelled),
        roots=np.array([[4.0, 5.0], [8.0, 5.0]]),
        sizes=np.array([2.0, 1.0]),
    )
    return displacement_maps(
        people,
        PoseRepresentation(build_kinematic_tree([-1, 0]), 2.0, location),
        Grid((14, 11), np.ones(2), 3.0),
        **options,
    )


def test_overlap_rules():
    # (5, 5) lies 1 from the first root and 3 from the second
    mean, _ = draw()
    np.testing.assert_allclose(mean[:, 5, 5] * 2, [1, -1.5, 0.5, 0.5])
    nearest, _ = draw(overlap='nearest')
    np.testing.assert_allclose(nearest[:, 5, 5] * 2, [-1, -2, 0, -2])
    smaller, weights = draw(overlap='smaller')
    np.testing.assert_allclose(smaller[:, 5, 5] * 2, [3, -1, 1, 3])
    assert (weights[:, 5, 5] == 1).all()
    # halfway, the first person stays
    np.testing.assert_allclose(nearest[:, 5, 6] * 2, [-2, -2, 0, -2])


def test_parent_location_starts_everywhere_from_the_cell():
    maps, weights = draw('parent', labelled=((True, True), (False, False)))
    # the second joint's window is around the first joint, at (4, 3)
    np.testing.assert_allclose(maps[2:, 2, 5] * 2, [-1, -1])
    assert weights[2, 3, 4] == 1 and weights[2, 7, 4] == 0
    assert weights[0, 8, 4] == 1 and weights[0, 1, 4] == 0


def test_missing_parents():
    labelled = (False, True), (True, True)
    _, weights = draw(labelled=labelled)
    assert weights[2, 5, 2] == 0
    maps, weights = draw(labelled=labelled, missing_parent='ancestor')
    assert weights[2, 5, 2] == 1 and weights[0, 5, 2] == 0
    np.testing.assert_allclose(maps[2:, 5, 2] * 2, [2, -4])
