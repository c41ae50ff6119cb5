import numpy as np
import pytest

from rmpe_spm.synthetic.skeleton import (
    JOINT,
    BodyProportions,
    Pose,
    forward_kinematics,
    limb_direction,
    rotation,
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


def test_limb_direction_by_hand():
    np.testing.assert_allclose(limb_direction(1, 0, 0), (0, -1, 0))
    np.testing.assert_allclose(limb_direction(1, 90, 0), (0, 0, 1), atol=1e-12)
    np.testing.assert_allclose(
        limb_direction(-1, 0, 90), (-1, 0, 0), atol=1e-12
    )


def test_rotation_by_hand():
    np.testing.assert_allclose(
        rotation(2, 90) @ (1, 0, 0), (0, 1, 0), atol=1e-12
    )
    np.testing.assert_allclose(
        rotation(0, 90) @ (0, 1, 0), (0, 0, 1), atol=1e-12
    )
