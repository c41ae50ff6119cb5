"""An articulated body: where its joints are, and plausible poses.

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

    The defaults stand upright and face the viewer, arms hanging down.

    Attributes:
        torso: Pitch (forward), roll (to the left) and twist.
        head: Pitch, yaw and roll relative to the chest.
        arms: Per side flexion, abduction, elbow, and the weights of inward,
            upward and forward in the direction that the forearm folds to.
        legs: Per side flexion, abduction, knee and ankle.
        view: Yaw of the body, pitch (positive: from above) and roll.
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
    """Unit direction of a limb; ``side`` is 1 for the left, else -1."""
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
    """Place the joints of a pose, in statures, in the camera frame."""
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


# Degrees.
JOINT_LIMITS = {
    'torso_pitch': (-25.0, 95.0),
    'torso_roll': (-30.0, 30.0),
    'torso_twist': (-40.0, 40.0),
    'head_pitch': (-35.0, 50.0),
    'head_yaw': (-70.0, 70.0),
    'head_roll': (-25.0, 25.0),
    'arm_flexion': (-55.0, 180.0),
    'arm_abduction': (-25.0, 95.0),
    'elbow': (0.0, 148.0),
    'leg_flexion': (-35.0, 125.0),
    'leg_abduction': (-15.0, 60.0),
    'knee': (0.0, 145.0),
    'ankle': (-40.0, 25.0),
}
ACTIVITIES = {
    'stand': 0.27,
    'walk': 0.19,
    'run': 0.11,
    'sit': 0.14,
    'arms_raised': 0.09,
    'crouch': 0.05,
    'bend': 0.05,
    'kick': 0.03,
    'star': 0.03,
    'lie': 0.04,
}


def _clip(name: str, value: float) -> float:
    low, high = JOINT_LIMITS[name]
    return float(min(max(value, low), high))


def _arm(flexion, abduction, elbow, inward=0.3, up=0.1, forward=1.0):
    return (
        _clip('arm_flexion', flexion),
        _clip('arm_abduction', abduction),
        _clip('elbow', elbow),
        inward,
        up,
        forward,
    )


def _leg(flexion, abduction, knee, ankle=0.0):
    return (
        _clip('leg_flexion', flexion),
        _clip('leg_abduction', abduction),
        _clip('knee', knee),
        _clip('ankle', ankle),
    )


def _pair(side, limb, other):
    """Limbs of the left and right side, of which 0 and 1 have the first."""
    return (other, limb) if side else (limb, other)


def _free_arm(rng: np.random.Generator, pitch: float = 0.0):
    """An arm of somebody who stands or sits: one of the usual gestures."""
    kind = rng.random()
    n, u = rng.normal, rng.uniform
    if kind < 0.42:  # hanging
        return _arm(n(2, 12) + pitch, n(9, 6), abs(n(15, 14)))
    if kind < 0.54:  # hand on the hip
        return _arm(n(-15, 8), n(42, 8), n(95, 12), 1.0, -0.1, 0.3)
    if kind < 0.68:  # in front of the belly or the chest
        return _arm(n(18, 12), n(12, 8), u(60, 120), u(0.5, 1.2), 0.1, 0.8)
    if kind < 0.78:  # to the head: a telephone, scratching
        return _arm(u(30, 80), u(15, 50), u(115, 145), 0.5, 0.9, 0.2)
    if kind < 0.90:  # reaching forward or pointing
        return _arm(u(40, 110), u(-5, 35), abs(n(20, 20)), 0.3, 0.7, 0.2)
    return _arm(u(0, 60), u(50, 95), abs(n(25, 30)), 0.2, u(-0.5, 1), 0.6)


def _sample_limbs(activity: str, rng: np.random.Generator):
    """Torso pitch, arms and legs of one activity."""
    n, u = rng.normal, rng.uniform
    pitch = n(2, 5)
    arms = (_free_arm(rng), _free_arm(rng))
    legs = tuple(
        _leg(n(2, 6), abs(n(5, 4)), abs(n(4, 5)), n(0, 5)) for _ in range(2)
    )
    if activity == 'walk':
        front = int(rng.integers(2))
        swing = u(12, 32)
        pitch = n(4, 4)
        legs = _pair(
            front,
            _leg(swing, abs(n(2, 2)), u(0, 15), n(0, 6)),
            _leg(-swing * 0.8, abs(n(2, 2)), u(5, 45), n(-8, 8)),
        )
        if rng.random() < 0.75:
            arms = _pair(
                1 - front,
                _arm(swing * u(0.6, 1.4), n(8, 5), u(5, 50)),
                _arm(-swing * u(0.6, 1.3), n(8, 5), u(5, 40)),
            )
    elif activity == 'run':
        front = int(rng.integers(2))
        pitch = n(12, 6)
        legs = _pair(
            front,
            _leg(u(25, 80), abs(n(2, 3)), u(30, 110), n(0, 8)),
            _leg(u(-30, 5), abs(n(2, 3)), u(10, 100), -20),
        )
        arms = _pair(
            1 - front,
            _arm(u(10, 60), n(10, 6), u(65, 125), 0.5, 0.2),
            _arm(u(-55, -5), n(14, 7), u(60, 115), 0.3, 0.1),
        )
    elif activity == 'sit':
        pitch = n(5, 12)
        spread = abs(n(10, 9))
        legs = tuple(
            _leg(u(72, 105), spread + n(0, 4), u(45, 110), n(0, 8))
            for _ in range(2)
        )
        if rng.random() < 0.5:  # hands on the lap
            arms = tuple(
                _arm(u(10, 45), n(10, 6), u(30, 85), u(0.2, 0.9))
                for _ in range(2)
            )
    elif activity == 'arms_raised':
        arms = tuple(
            _arm(u(120, 180), u(0, 65), abs(n(25, 35)), 0.6, 0.3, u(0, 0.7))
            for _ in range(2)
        )
    elif activity == 'crouch':
        pitch = u(10, 50)
        legs = tuple(
            _leg(u(85, 125), u(0, 35), u(95, 140), u(-10, 20))
            for _ in range(2)
        )
        arms = tuple(
            _arm(u(20, 85), u(0, 30), u(10, 90), u(0.2, 1.0)) for _ in range(2)
        )
    elif activity == 'bend':
        pitch = u(35, 95)
        arms = tuple(
            _arm(pitch + n(10, 22), n(8, 8), abs(n(15, 25)), 0.3, 0.0)
            for _ in range(2)
        )
        legs = tuple(_leg(u(-5, 25), abs(n(6, 5)), u(0, 40)) for _ in range(2))
    elif activity == 'kick':
        kicking = int(rng.integers(2))
        legs = _pair(
            kicking,
            _leg(u(40, 110), u(0, 45), u(0, 60), -20),
            _leg(n(0, 8), abs(n(4, 3)), u(0, 25)),
        )
        pitch = n(-5, 8)
        arms = tuple(
            _arm(u(-10, 70), u(20, 90), abs(n(25, 25)), 0.3, 0.3)
            for _ in range(2)
        )
    elif activity == 'star':
        legs = tuple(
            _leg(n(5, 10), u(15, 45), abs(n(8, 12))) for _ in range(2)
        )
        arms = tuple(
            _arm(u(0, 180), u(50, 95), abs(n(12, 15)), 0.2, 0.5, 0.4)
            for _ in range(2)
        )
    elif activity == 'lie':
        legs = tuple(
            _leg(u(-5, 70), abs(n(8, 7)), u(0, 90), -20) for _ in range(2)
        )
    return pitch, arms, legs


def sample_pose(rng: np.random.Generator, activity: str | None = None) -> Pose:
    """Sample a pose within ``JOINT_LIMITS``, seen from somewhere."""
    if activity is None:
        names = tuple(ACTIVITIES)
        weights = np.fromiter(ACTIVITIES.values(), float)
        activity = names[rng.choice(len(names), p=weights / weights.sum())]
    pitch, arms, legs = _sample_limbs(activity, rng)
    n = rng.normal
    facing = rng.random()
    if facing < 0.48:
        yaw = n(0, 24)
    elif facing < 0.78:
        yaw = (90 if rng.random() < 0.5 else -90) + n(0, 20)
    else:
        yaw = 180 + n(0, 26)
    roll = n(0, 3)
    camera_pitch = float(np.clip(n(4, 8), -15, 35))
    if activity == 'lie':
        roll = (90 if rng.random() < 0.5 else -90) + n(0, 14)
        camera_pitch = n(0, 10)
    return Pose(
        torso=(
            _clip('torso_pitch', pitch),
            _clip('torso_roll', n(0, 5)),
            _clip('torso_twist', n(0, 9)),
        ),
        head=(
            _clip('head_pitch', n(5, 11) - 0.35 * pitch),
            _clip('head_yaw', n(0, 22)),
            _clip('head_roll', n(0, 7)),
        ),
        arms=arms,
        legs=legs,
        view=((yaw + 180.0) % 360.0 - 180.0, camera_pitch, roll),
    )
