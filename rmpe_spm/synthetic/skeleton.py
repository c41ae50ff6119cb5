"""An articulated body: its lengths, its pose, and where the joints are.

Body frame: x to the person's left, y up, z forward (right-handed), unit:
the person's stature, origin at the pelvis. Camera frame: x to the image's
right, y up, z towards the viewer. With ``yaw = 0`` the two frames agree: the
person faces the viewer and the person's left is on the image's right.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

JOINT_NAMES = (
    'pelvis', 'chest', 'head', 'left_shoulder', 'right_shoulder',
    'left_elbow', 'right_elbow', 'left_wrist', 'right_wrist', 'left_hand',
    'right_hand', 'left_hip', 'right_hip', 'left_knee', 'right_knee',
    'left_ankle', 'right_ankle', 'left_toe', 'right_toe',
)  # fmt: skip
JOINT = {name: i for i, name in enumerate(JOINT_NAMES)}


@dataclass(frozen=True)
class BodyProportions:
    """Lengths of the body's segments as fractions of the stature."""

    torso: float = 0.29
    neck: float = 0.112
    shoulder_half: float = 0.108
    hip_half: float = 0.056
    upper_arm: float = 0.168
    forearm: float = 0.145
    hand: float = 0.055
    thigh: float = 0.245
    shank: float = 0.242
    foot: float = 0.105
    head_radii: tuple[float, float, float] = (0.049, 0.068, 0.060)


@dataclass(frozen=True)
class Pose:
    """Angles of one pose, in degrees; index 0 of a pair is the left side.

    The defaults are those of a person who stands upright and faces the
    viewer, arms hanging down.

    Attributes:
        torso: Pitch (forward), roll (to the left) and twist.
        head: Pitch, yaw and roll relative to the chest.
        arms: Per side flexion, abduction, elbow, and the weights of inward,
            upward and forward in the direction that the forearm folds to.
        legs: Per side flexion, abduction, knee and ankle.
        view: Yaw of the body, pitch of the camera (positive: from above)
            and roll in the image plane.
    """

    torso: tuple[float, float, float] = (0.0, 0.0, 0.0)
    head: tuple[float, float, float] = (0.0, 0.0, 0.0)
    arms: tuple[tuple[float, ...], ...] = ((0.0, 0.0, 0.0, 0.3, 0.1, 1.0),) * 2
    legs: tuple[tuple[float, ...], ...] = ((0.0, 0.0, 0.0, 0.0),) * 2
    view: tuple[float, float, float] = (0.0, 0.0, 0.0)


class Body3D(NamedTuple):
    """Joints (19, 3) and part frames (3, 3) in the camera frame."""

    joints: np.ndarray
    pelvis_frame: np.ndarray
    chest_frame: np.ndarray
    head_frame: np.ndarray


def rotation(axis: int, degrees: float) -> np.ndarray:
    """Right-handed rotation (3, 3) about a coordinate axis."""
    c = math.cos(math.radians(degrees))
    s = math.sin(math.radians(degrees))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = c
    matrix[i, j], matrix[j, i] = -s, s
    return matrix


def limb_direction(
    side: int, flexion: float, abduction: float
) -> tuple[float, float, float]:
    """Unit direction of a limb that hangs down at zero angles.

    ``side`` is 1 for the left, -1 for the right; flexion swings it forward,
    abduction outward, in degrees.
    """
    f, a = math.radians(flexion), math.radians(abduction)
    return (
        side * math.sin(a),
        -math.cos(a) * math.cos(f),
        math.cos(a) * math.sin(f),
    )


def _forearm_direction(side, arm):
    """Fold the forearm by the elbow's angle in a plausible direction."""
    ux, uy, uz = limb_direction(side, arm[0], arm[1])
    gx, gy, gz = -side * arm[3], arm[4], arm[5]
    dot = gx * ux + gy * uy + gz * uz
    gx, gy, gz = gx - dot * ux, gy - dot * uy, gz - dot * uz
    norm = math.sqrt(gx * gx + gy * gy + gz * gz)
    if norm < 1e-3:  # the fold is along the arm: any perpendicular will do
        gx, gy, gz, norm = uy, -ux, 0.0, max(math.hypot(ux, uy), 1e-6)
    c = math.cos(math.radians(arm[2]))
    s = math.sin(math.radians(arm[2])) / norm
    return (c * ux + s * gx, c * uy + s * gy, c * uz + s * gz)


def forward_kinematics(pose: Pose, proportions: BodyProportions) -> Body3D:
    """Place the joints of a pose.

    Joints and frames are in the camera frame, unit: the stature; the columns
    of a frame are the part's left, up and forward.
    """
    p = proportions
    yaw, camera_pitch, roll = pose.view
    pelvis = rotation(2, roll) @ rotation(0, camera_pitch) @ rotation(1, yaw)
    chest = (
        pelvis
        @ rotation(0, pose.torso[0])
        @ rotation(2, -pose.torso[1])
        @ rotation(1, pose.torso[2])
    )
    head = (
        chest
        @ rotation(1, pose.head[1])
        @ rotation(0, pose.head[0])
        @ rotation(2, pose.head[2])
    )
    # Segment vectors in their parents' frames.
    vectors = np.zeros((12, 3))
    for i, side in enumerate((1, -1)):
        arm, leg = pose.arms[i], pose.legs[i]
        fore = np.asarray(_forearm_direction(side, arm))
        vectors[i] = limb_direction(side, arm[0], arm[1])
        vectors[i] *= p.upper_arm
        vectors[2 + i] = fore * p.forearm
        vectors[4 + i] = fore * p.hand
        vectors[6 + i] = limb_direction(side, leg[0], leg[1])
        vectors[6 + i] *= p.thigh
        vectors[8 + i] = limb_direction(side, leg[0] - leg[2], leg[1] * 0.7)
        vectors[8 + i] *= p.shank
        toe_angle = leg[0] - leg[2] + 75.0 + leg[3]
        vectors[10 + i] = limb_direction(side, toe_angle, 10.0)
        vectors[10 + i] *= p.foot
    arms3d = vectors[:6] @ chest.T
    legs3d = vectors[6:] @ pelvis.T

    joints = np.zeros((len(JOINT_NAMES), 3))
    joints[1] = chest[:, 1] * p.torso
    joints[2] = joints[1] + (0.25 * chest[:, 1] + 0.75 * head[:, 1]) * p.neck
    joints[2] += head[:, 2] * 0.012
    for i, side in enumerate((1, -1)):
        joints[3 + i] = joints[1] + chest[:, 0] * (side * p.shoulder_half)
        joints[3 + i] -= chest[:, 1] * 0.012
        joints[5 + i] = joints[3 + i] + arms3d[i]
        joints[7 + i] = joints[5 + i] + arms3d[2 + i]
        joints[9 + i] = joints[7 + i] + arms3d[4 + i]
        joints[11 + i] = pelvis[:, 0] * (side * p.hip_half)
        joints[13 + i] = joints[11 + i] + legs3d[i]
        joints[15 + i] = joints[13 + i] + legs3d[2 + i]
        joints[17 + i] = joints[15 + i] + legs3d[4 + i]
    return Body3D(joints, pelvis, chest, head)
