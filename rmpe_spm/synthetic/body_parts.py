"""Geometry of a figure: its parts as flat outlines in painter's order."""

import math
from enum import IntEnum
from typing import NamedTuple

import cv2
import numpy as np

from .appearance import Appearance
from .poses import JOINT, Body3D

# Labels of the parts, from 1; 0 is the background. Of pairs the right one
# follows the left one.
Part = IntEnum(
    'Part',
    'NECK TORSO PELVIS SKIRT HEAD FACE LONG_HAIR '
    'LEFT_UPPER_ARM RIGHT_UPPER_ARM LEFT_SLEEVE RIGHT_SLEEVE '
    'LEFT_FOREARM RIGHT_FOREARM LEFT_HAND RIGHT_HAND '
    'LEFT_THIGH RIGHT_THIGH LEFT_SHORTS RIGHT_SHORTS '
    'LEFT_SHANK RIGHT_SHANK LEFT_FOOT RIGHT_FOOT LEFT_EAR RIGHT_EAR '
    'EYE_WHITE PUPIL NOSE MOUTH NECKLINE PRINT BACKPACK',
)


class Outline(NamedTuple):
    """One convex piece of a figure.

    ``polygons`` (levels, points, 2) in pixels: the piece and the lighter areas
    in it. ``depth``, in front of the pelvis in statures, orders the painting.
    """

    part: Part
    depth: float
    polygons: np.ndarray


_ARC = np.linspace(-np.pi / 2, np.pi / 2, 7)
_ARC_B = np.stack([np.cos(_ARC), np.sin(_ARC)], 1)
_ARC_A = -_ARC_B
_LEVELS = ((1.0, 0.0), (0.76, 0.16), (0.42, 0.34))


class OutlineBuilder:
    """Collects the pieces of one figure, with 1 to 3 shading ``levels``."""

    def __init__(self, scale, origin, perspective, light, levels):
        self.scale = scale
        self.origin = origin
        self.perspective = perspective
        self.light = light
        self.levels = levels
        self.outlines: list[Outline] = []
        self._capsules = []

    def project(self, points: np.ndarray) -> np.ndarray:
        """Camera frame (N, 3) to pixels (N, 2)."""
        factor = self.scale / (1 - self.perspective * points[:, 2])
        return np.stack(
            [
                self.origin[0] + points[:, 0] * factor,
                self.origin[1] - points[:, 1] * factor,
            ],
            1,
        )

    def capsule(self, part, start, end, start_radius, end_radius, bias=0.0):
        depth = 0.5 * (start[2] + end[2])
        self._capsules.append(
            (part, depth, depth + bias, start, end, start_radius, end_radius)
        )

    def hull(self, part, points, bias=0.0, depth=None, levels=None):
        pixels = self.project(points).astype(np.float32)
        if depth is None:
            depth = float(points[:, 2].mean())
        outline = cv2.convexHull(pixels)[:, 0]
        centre = outline.mean(0)
        extent = np.abs(outline - centre).mean()
        polygons = [
            centre
            + (outline - centre) * size
            + np.multiply(self.light, 0.5 * extent * shift)
            for size, shift in _LEVELS[: levels or self.levels]
        ]
        self.outlines.append(
            (depth + bias, Outline(part, depth, np.stack(polygons)))
        )

    def build(self) -> list[Outline]:
        """All pieces, far to near."""
        caps = self._capsules
        ends = np.array([(c[3], c[4]) for c in caps])
        radii = np.array([(c[5], c[6]) for c in caps])
        pixels = self.project(ends.reshape(-1, 3)).reshape(-1, 2, 2)
        radii = radii * self.scale / (1 - self.perspective * ends[..., 2])
        axis = pixels[:, 1] - pixels[:, 0]
        norm = np.sqrt((axis**2).sum(1, keepdims=True))
        axis = np.where(norm > 1e-6, axis / np.maximum(norm, 1e-6), (1.0, 0))
        normal = np.stack([-axis[:, 1], axis[:, 0]], 1)
        frame = np.stack([axis, normal], 1)
        arcs = np.stack([_ARC_A @ frame, _ARC_B @ frame], 1)
        for_levels = []
        for size, shift in _LEVELS[: self.levels]:
            offset = np.multiply(self.light, shift)
            polygon = pixels[:, :, None] + radii[:, :, None, None] * (
                arcs * size + offset
            )
            for_levels.append(polygon.reshape(len(caps), -1, 2))
        polygons = np.stack(for_levels, 1)
        for c, polygon in zip(caps, polygons, strict=True):
            self.outlines.append((c[2], Outline(c[0], c[1], polygon)))
        self.outlines.sort(key=lambda item: item[0])
        return [outline for _, outline in self.outlines]


# Directions on the head's ellipsoid: left, up, forward.
_NOSE = (0.0, -0.14, 1.16)
_EYES = ((0.37, 0.10, 0.92), (-0.37, 0.10, 0.92))
_EARS = ((1.02, -0.06, -0.08), (-1.02, -0.06, -0.08))


def face_points(body: Body3D, look: Appearance) -> np.ndarray:
    """Nose, eyes and ears (5, 3) in COCO's order, in the camera frame."""
    local = np.array([_NOSE, *_EYES, *_EARS]) * look.proportions.head_radii
    return body.joints[JOINT['head']] + local @ body.head_frame.T


def face_turned_away(body: Body3D, look: Appearance) -> np.ndarray:
    """Which of nose, eyes, ears (5,) the head itself (or hair) hides."""
    z = np.array([_NOSE, *_EYES, *_EARS]) @ body.head_frame[2]
    limits = np.array([-0.30, 0.12, 0.12, -0.32, -0.32])
    hidden = z < limits
    if look.hair_style == 'long':
        hidden[3:] = True
    return hidden


def _sphere(count: int) -> np.ndarray:
    i = np.arange(count) + 0.5
    y = 1 - 2 * i / count
    phi = i * math.pi * (3 - math.sqrt(5))
    r = np.sqrt(1 - y * y)
    return np.stack([r * np.cos(phi), y, r * np.sin(phi)], 1)


_SPHERE = _sphere(260)
_ANGLES = np.arange(10) * math.pi / 5
_RING = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], 1)


def _ring(half_width, half_depth, height, forward=0.0):
    ring = np.empty((len(_RING), 3))
    ring[:, 0] = _RING[:, 0] * half_width
    ring[:, 1] = height
    ring[:, 2] = _RING[:, 1] * half_depth + forward
    return ring


def _add_head(
    build: OutlineBuilder, body: Body3D, look: Appearance, size: float
):
    head = body.joints[JOINT['head']]
    frame = body.head_frame
    radii = np.asarray(look.proportions.head_radii)
    rx = radii[0]
    surface = head + (_SPHERE * radii) @ frame.T
    build.hull(Part.HEAD, surface, 0.02, head[2], 2)
    # The hair is a cap of the ellipsoid; the face is the rest of it.
    axis = (0.0, 0.62, -0.78) if look.hair_style != 'cap' else (0, 0.9, -0.44)
    towards = frame[2]
    bare = _SPHERE @ np.asarray(axis) < (
        0.22 if look.hair_style == 'cap' else 0.12
    )
    # Half a point's spacing behind the rim still reaches the silhouette.
    visible = bare & (_SPHERE @ (towards * 1.0) > -0.06)
    if np.dot(axis, towards) < 0.55 and visible.sum() >= 6:
        build.hull(Part.FACE, surface[visible], 0.022, head[2], 2)
    if look.hair_style == 'long':
        top = head + frame @ (np.array([0, 0.25, -0.55]) * radii)
        low = (
            head
            - frame[:, 2] * radii[2] * 0.9
            - body.chest_frame[:, 1] * radii[1] * 2.1
        )
        # Wider than the neck, so that it shows from the front, too.
        build.capsule(Part.LONG_HAIR, top, low, rx * 0.95, rx * 0.85, 0.021)
    if size * rx < 2.2:
        return
    points = face_points(body, look)
    hidden = face_turned_away(body, look)
    for i, part in enumerate((Part.LEFT_EAR, Part.RIGHT_EAR)):
        if not hidden[3 + i]:
            p = points[3 + i]
            near = frame[2] @ np.array(_EARS[i]) > 0.25
            tip = p + frame[:, 1] * rx * 0.2
            build.capsule(
                part, p, tip, rx * 0.2, rx * 0.22, 0.025 if near else 0.015
            )
    if not hidden[0]:
        bridge = head + frame @ (np.array([0, 0.12, 1.0]) * radii)
        profile = frame[2] @ np.array([0.0, 0.0, 1.0]) < 0.1
        build.capsule(
            Part.NOSE, bridge, points[0], rx * 0.08, rx * 0.2,
            0.018 if profile else 0.03,
        )  # fmt: skip
    for i in range(2):
        if hidden[1 + i]:
            continue
        eye = points[1 + i]
        across = frame[:, 0] * rx * 0.1
        if size * rx > 5:
            build.capsule(
                Part.EYE_WHITE, eye - across, eye + across,
                rx * 0.15, rx * 0.15, 0.03,
            )  # fmt: skip
        pupil = max(rx * 0.12, 0.6 / size)
        build.capsule(Part.PUPIL, eye, eye, pupil, pupil, 0.031)
    mouth = head + (np.array([[0.27, -0.52, 0.86], [-0.27, -0.52, 0.86]])
                    * radii) @ frame.T  # fmt: skip
    if frame[2] @ np.array([0.0, -0.5, 0.86]) > 0.2 and size * rx > 3:
        build.capsule(
            Part.MOUTH, mouth[0], mouth[1], rx * 0.07, rx * 0.07, 0.03
        )


def _add_torso(build: OutlineBuilder, body: Body3D, look: Appearance):
    p, girth = look.proportions, look.girth
    chest, pelvis = body.chest_frame, body.pelvis_frame
    half, torso, hip = p.shoulder_half, p.torso, p.hip_half
    upper = [
        _ring(half * 0.55, 0.030, torso * 1.10, -0.005),
        _ring(half * 0.98, 0.042 * girth, torso * 0.97),
        _ring(half * 0.90 * girth**0.5, 0.066 * girth, torso * 0.70, 0.006),
        _ring(half * 0.76 * girth, 0.060 * girth, torso * 0.28),
    ]
    upper = np.concatenate(upper) @ chest.T
    lower = [
        _ring(hip * 1.62 * girth**0.7, 0.068 * girth, 0.012),
        _ring(hip * 1.45 * girth**0.7, 0.060 * girth, -0.045),
    ]
    lower = np.concatenate(lower) @ pelvis.T
    waist = upper[-len(_RING) :]
    build.hull(Part.PELVIS, np.concatenate([waist, lower]), -0.003)
    hem = lower[: len(_RING)] if look.neckline < 0.3 else waist
    build.hull(Part.TORSO, np.concatenate([upper, hem]), 0.0)
    torso_depth = build.outlines[-1][0]

    middle = body.joints[JOINT['chest']]
    build.capsule(
        Part.NECK,
        middle - chest[:, 1] * 0.01,
        body.joints[JOINT['head']] - body.head_frame[:, 1] * 0.02,
        0.034 * girth**0.5,
        0.031 * girth**0.5,
        -0.002 if chest[2, 2] > 0 else 0.012,
    )
    front = 0.045 * girth
    if chest[2, 2] > 0.15:
        collar = np.array(
            [
                (0.042, 0.020, front * 0.55),
                (-0.042, 0.020, front * 0.55),
                (0, 0.02 - 0.16 * look.neckline, front),
            ]
        )
        build.hull(
            Part.NECKLINE, middle + collar @ chest.T, 0, torso_depth + 1e-3, 1
        )
        if look.print_on_front:
            width = 0.03 + 0.04 * look.neckline
            corners = [(1, -0.06), (-1, -0.06), (-1, -0.12), (1, -0.12)]
            mark = np.array(
                [(width * side, y, front * 1.2) for side, y in corners]
            )
            build.hull(
                Part.PRINT, middle + mark @ chest.T, 0, torso_depth + 2e-3, 1
            )
    if look.backpack is not None:
        pack = np.array(
            [
                (x, y, z)
                for x in (-0.075, 0.075)
                for y in (-0.22, 0.0)
                for z in (-0.05 * girth, -0.05 * girth - 0.07)
            ]
        )
        build.hull(Part.BACKPACK, middle + pack @ chest.T)


def _add_limbs(build: OutlineBuilder, body: Body3D, look: Appearance):
    joints = body.joints
    g = look.limb_girth
    skirt = [] if look.legwear == 'skirt' else None
    for i in range(2):
        shoulder, elbow, wrist, hand = (joints[k + i] for k in (3, 5, 7, 9))
        hip, knee, ankle, toe = (joints[k + i] for k in (11, 13, 15, 17))
        cloth = 1.12 if look.sleeves == 'long' else 1.0
        build.capsule(
            Part.LEFT_UPPER_ARM + i, shoulder, elbow,
            0.032 * g * cloth, 0.024 * g * cloth, 0.010,
        )  # fmt: skip
        if look.sleeves == 'short':
            end = shoulder + (elbow - shoulder) * 0.55
            build.capsule(
                Part.LEFT_SLEEVE + i, shoulder, end, 0.037 * g, 0.036 * g,
                0.011 + 0.5 * (elbow[2] - end[2]),
            )  # fmt: skip
        build.capsule(
            Part.LEFT_FOREARM + i, elbow, wrist,
            0.024 * g * cloth, 0.017 * g * cloth, 0.012,
        )  # fmt: skip
        build.capsule(
            Part.LEFT_HAND + i, wrist, wrist + (hand - wrist) * 0.85,
            0.017 * g, 0.021 * g, 0.012,
        )  # fmt: skip
        cloth = 1.1 if look.legwear == 'trousers' else 1.0
        build.capsule(
            Part.LEFT_THIGH + i,
            hip,
            knee,
            0.053 * g * cloth,
            0.034 * g * cloth,
        )
        if look.legwear == 'shorts':
            end = hip + (knee - hip) * 0.75
            build.capsule(
                Part.LEFT_SHORTS + i, hip, end, 0.060 * g, 0.052 * g,
                0.001 + 0.5 * (knee[2] - end[2]),
            )  # fmt: skip
        build.capsule(
            Part.LEFT_SHANK + i, knee, ankle,
            0.034 * g * cloth, 0.021 * g * cloth, -0.001,
        )  # fmt: skip
        build.capsule(
            Part.LEFT_FOOT + i, ankle - (toe - ankle) * 0.12, toe,
            0.024, 0.018, 0.0,
        )  # fmt: skip
        if skirt is not None:
            end = hip + (knee - hip) * (0.55 + 0.6 * look.neckline)
            side = body.pelvis_frame[:, 0] * (0.06 * (1 - 2 * i))
            out = body.pelvis_frame[:, 2] * 0.05
            skirt += [hip + side, end + side, end + out, end - out]
    if skirt is not None:
        points = np.array(skirt)
        thighs = 0.5 * (joints[11:13, 2] + joints[13:15, 2]).max()
        build.hull(
            Part.SKIRT, points, 0.004 + max(thighs - points[:, 2].mean(), 0)
        )


def build_outlines(
    body: Body3D,
    look: Appearance,
    scale: float,
    origin: tuple[float, float],
    perspective: float = 0.12,
    light: tuple[float, float] = (-0.5, -0.8),
) -> list[Outline]:
    """Turn a posed body into flat pieces, the farthest first.

    ``scale`` is the stature, ``origin`` the pelvis (x, y), in pixels. Lengths
    of near parts are divided by ``1 - perspective * z``.
    """
    levels = 3 if scale > 110 else 2
    build = OutlineBuilder(scale, origin, perspective, light, levels)
    _add_torso(build, body, look)
    _add_limbs(build, body, look)
    _add_head(build, body, look, scale)
    return build.build()
