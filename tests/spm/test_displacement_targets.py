import numpy as np

from rmpe_spm.spm.kinematics import build_kinematic_tree
from rmpe_spm.spm.targets import displacement_maps

ONES = np.ones(2)


def draw(location='root', **options):
    """Two persons of a chain of two joints, roots 4 cells apart."""
    roots = np.array([[4.0, 5.0], [8.0, 5.0]])
    keypoints = np.array([[[4.0, 3.0], [4.0, 1.0]], [[8.0, 4.0], [9.0, 7.0]]])
    options = (
        dict(
            labelled=np.ones((2, 2), bool),
            roots_valid=np.ones(2, bool),
            diagonals=np.array([2.0, 1.0]),
        )
        | options
    )
    return displacement_maps(
        keypoints,
        roots=roots,
        tree=build_kinematic_tree([-1, 0]),
        heatmap_size=(14, 11),
        tau=3.0,
        metric=ONES,
        normalizer=2.0,
        location=location,
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
    nearest, _ = draw(overlap='nearest')
    np.testing.assert_allclose(nearest[:, 5, 6] * 2, [-2, -2, 0, -2])


def test_parent_location_starts_everywhere_from_the_cell():
    maps, weights = draw('parent', roots_valid=np.array([True, False]))
    # the second joint's window is around the first joint, at (4, 3)
    np.testing.assert_allclose(maps[2:, 2, 5] * 2, [-1, -1])
    assert weights[2, 3, 4] == 1 and weights[2, 7, 4] == 0
    assert weights[0, 8, 4] == 1 and weights[0, 1, 4] == 0


def test_missing_parents():
    labelled = np.array([[False, True], [True, True]])
    _, weights = draw(labelled=labelled)
    assert weights[2, 5, 2] == 0
    maps, weights = draw(labelled=labelled, missing_parent='ancestor')
    assert weights[2, 5, 2] == 1 and weights[0, 5, 2] == 0
    np.testing.assert_allclose(maps[2:, 5, 2] * 2, [2, -4])
