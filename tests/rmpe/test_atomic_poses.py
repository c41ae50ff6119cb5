import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmpe_spm.rmpe.pgpg_model import NearestAtom, align_pose, torso_joints

SHOULDERS, HIPS = (1, 2), (3, 4)
# head; shoulders with middle (20, 10); hips with middle (20, 50)
POSE = np.array([[20, 0], [10, 10], [30, 10], [12, 50], [28, 50]], float)
ALL = np.ones(5, bool)


def test_torso_joints_by_name():
    names = ['nose', 'right_hip', 'left_shoulder', 'left_hip']
    names += ['right_shoulder']
    assert torso_joints(names) == ((2, 4), (3, 1))


def test_torso_joints_names_the_missing_joint():
    with pytest.raises(ValueError, match='left_hip'):
        torso_joints(['left_shoulder', 'right_shoulder', 'right_hip'])


def test_align_pose_by_hand():
    # torso 40 long around (20, 30)
    aligned = align_pose(POSE, ALL, SHOULDERS, HIPS)
    expected = [
        [0, -0.75],
        [-0.25, -0.5],
        [0.25, -0.5],
        [-0.2, 0.5],
        [0.2, 0.5],
    ]
    np.testing.assert_allclose(aligned, expected)


def test_align_pose_with_one_shoulder():
    visible = np.array([True, False, True, True, True])
    aligned = align_pose(POSE, visible, SHOULDERS, HIPS)
    length = np.hypot(10, 40)  # from (30, 10) to (20, 50)
    np.testing.assert_allclose(aligned[0], [-5 / length, -30 / length])
    np.testing.assert_array_equal(aligned[1], [0, 0])


@given(st.floats(0.01, 100), st.floats(-1000, 1000), st.floats(-1000, 1000))
def test_align_pose_ignores_place_and_size(scale, x, y):
    moved = POSE * scale + np.array([x, y])
    np.testing.assert_allclose(
        align_pose(moved, ALL, SHOULDERS, HIPS),
        align_pose(POSE, ALL, SHOULDERS, HIPS),
        atol=1e-8,
    )


def test_align_pose_ignores_what_is_not_visible():
    visible = np.array([False, True, True, True, True])
    pose = POSE.copy()
    pose[0] = np.nan
    aligned = align_pose(pose, visible, SHOULDERS, HIPS)
    np.testing.assert_array_equal(aligned[0], [0, 0])
    assert np.isfinite(aligned).all()


@pytest.mark.parametrize('hidden', [(1, 2), (3, 4), (0, 1, 2, 3, 4)])
def test_align_pose_without_a_torso(hidden):
    visible = ALL.copy()
    visible[list(hidden)] = False
    assert align_pose(POSE, visible, SHOULDERS, HIPS) is None


@pytest.mark.parametrize(
    ('hip_y', 'is_aligned'), [(10, False), (13.9, False), (14.1, True)]
)
def test_align_pose_refuses_a_torso_seen_from_its_end(hip_y, is_aligned):
    pose = POSE.copy()
    pose[3:, 1] = hip_y
    pose[0] = (20, 50)  # the joints span 40 from y = 10 to 50
    aligned = align_pose(pose, ALL, SHOULDERS, HIPS)
    assert (aligned is not None) == is_aligned


def test_nearest_atom_equals_brute_force():
    rng = np.random.default_rng(0)
    atoms = rng.normal(size=(6, 5, 2))
    lookup = NearestAtom(atoms)
    found = set()
    for _ in range(200):
        visible = rng.random(5) > 0.4
        pose = rng.normal(size=(5, 2))
        pose[~visible] = 0
        distances = [
            sum(
                (pose[k, d] - atom[k, d]) ** 2
                for k in range(5)
                if visible[k]
                for d in range(2)
            )
            for atom in atoms
        ]
        index = lookup(pose, visible)
        assert index == np.argmin(distances)
        found.add(index)
    assert found == set(range(6))
