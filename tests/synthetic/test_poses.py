import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmpe_spm.synthetic.poses import (
    ACTIVITIES,
    JOINT,
    JOINT_LIMITS,
    BodyProportions,
    Pose,
    forward_kinematics,
    sample_pose,
)


def test_standing_figure_by_hand():
    p = BodyProportions()
    joints = forward_kinematics(Pose(), p).joints
    np.testing.assert_allclose(joints[JOINT['pelvis']], 0)
    np.testing.assert_allclose(joints[JOINT['chest']], [0, p.torso, 0])
    left = joints[JOINT['left_wrist']]
    # facing the viewer, the person's left is on the right of the image
    assert left[0] == pytest.approx(p.shoulder_half)
    assert left[1] == pytest.approx(p.torso - 0.012 - p.upper_arm - p.forearm)
    ankle = joints[JOINT['right_ankle']]
    np.testing.assert_allclose(ankle, [-p.hip_half, -p.thigh - p.shank, 0])


def test_a_half_turn_swaps_the_sides():
    p = BodyProportions()
    joints = forward_kinematics(Pose(), p).joints
    turned = forward_kinematics(Pose(view=(180, 0, 0)), p).joints
    np.testing.assert_allclose(turned, joints * (-1, 1, -1), atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    activity=st.sampled_from([None, *ACTIVITIES]),
)
def test_sampled_bodies_keep_lengths_angles_and_limits(seed, activity):
    p = BodyProportions()
    pose = sample_pose(np.random.default_rng(seed), activity)
    for limbs, names in (
        (pose.arms, ('arm_flexion', 'arm_abduction', 'elbow')),
        (pose.legs, ('leg_flexion', 'leg_abduction', 'knee', 'ankle')),
    ):
        low, high = np.transpose([JOINT_LIMITS[name] for name in names])
        for angles in np.array(limbs)[:, : len(names)]:
            assert (low <= angles).all() and (angles <= high).all()
    body = forward_kinematics(pose, p)
    for frame in (body.pelvis_frame, body.chest_frame, body.head_frame):
        np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-9)
    for start, end, length in (
        ('shoulder', 'elbow', p.upper_arm),
        ('elbow', 'wrist', p.forearm),
        ('hip', 'knee', p.thigh),
        ('knee', 'ankle', p.shank),
    ):
        for side in ('left', 'right'):
            ends = body.joints[[JOINT[f'{side}_{j}'] for j in (start, end)]]
            bone = np.linalg.norm(ends[1] - ends[0])
            assert bone == pytest.approx(length, rel=1e-6)
    # the elbow folds by its angle
    arm = [JOINT[f'left_{joint}'] for joint in ('shoulder', 'elbow', 'wrist')]
    upper, fore = np.diff(body.joints[arm], axis=0)
    expected = np.cos(np.deg2rad(pose.arms[0][2])) * p.upper_arm * p.forearm
    assert upper @ fore == pytest.approx(expected, abs=1e-7)


def test_lying_people_lie_and_raised_arms_are_up():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        pose = sample_pose(rng, 'lie')
        joints = forward_kinematics(pose, BodyProportions()).joints
        trunk = joints[JOINT['chest']] - joints[JOINT['pelvis']]
        assert abs(trunk[0]) > abs(trunk[1])
        pose = sample_pose(rng, 'arms_raised')
        assert all(arm[0] >= 120 for arm in pose.arms)
