"""Rasterising one figure, and which of its joints it hides itself."""

from dataclasses import dataclass

import cv2
import numpy as np

from .appearance import Appearance, crop, noise_bank, pattern_mask
from .body_parts import Part, build_outlines, face_points, face_turned_away
from .poses import JOINT, Pose, forward_kinematics

KEYPOINT_NAMES = (
    'nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear',
    'left_shoulder', 'right_shoulder', 'left_elbow', 'right_elbow',
    'left_wrist', 'right_wrist', 'left_hip', 'right_hip', 'left_knee',
    'right_knee', 'left_ankle', 'right_ankle',
)  # fmt: skip
_BODY = np.array([JOINT[name] for name in KEYPOINT_NAMES[5:]])
_TRUNK = (Part.TORSO, Part.PELVIS, Part.SKIRT)
_ON_HEAD = (
    Part.HEAD, Part.FACE, Part.NOSE, Part.EYE_WHITE, Part.PUPIL,
    Part.LEFT_EAR, Part.RIGHT_EAR,
)  # fmt: skip
_SHADES = (0.74, 0.93, 1.08)
_SHIFT = 4


def _own_parts() -> np.ndarray:
    """Parts (17, 64) on whose surface a keypoint is seen."""
    table = np.zeros((len(KEYPOINT_NAMES), 64), bool)
    table[:5, list(_ON_HEAD)] = True
    for i in range(2):
        arm = [Part.LEFT_UPPER_ARM + i, Part.LEFT_SLEEVE + i]
        fore = [Part.LEFT_FOREARM + i]
        thigh = [Part.LEFT_THIGH + i, Part.LEFT_SHORTS + i]
        shank = [Part.LEFT_SHANK + i]
        table[5 + i, arm] = True
        table[7 + i, arm + fore] = True
        table[9 + i, [*fore, Part.LEFT_HAND + i]] = True
        table[11 + i, thigh] = True
        table[13 + i, [*thigh, *shank, Part.SKIRT]] = True
        table[15 + i, [*shank, Part.LEFT_FOOT + i]] = True
    return table


OWN_PARTS = _own_parts()


@dataclass
class Figure:
    """One drawn person: a window of the image, and what is known of it.

    ``nearness`` (17,) is how far, in statures, the keypoints are in front of
    the pelvis.
    """

    x: int
    y: int
    image: np.ndarray
    parts: np.ndarray
    keypoints: np.ndarray
    nearness: np.ndarray
    own_parts: np.ndarray
    radii: np.ndarray
    core: tuple[float, float, float, float]
    stature: float


def _colours(look: Appearance) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Colour of each part; second colours where shirt, trousers have any."""
    main = np.zeros((256, 3))
    skin = np.asarray(look.skin)
    main[:] = skin
    shirt_parts = [Part.TORSO]
    if look.sleeves == 'long':
        shirt_parts += range(Part.LEFT_UPPER_ARM, Part.LEFT_HAND)
    elif look.sleeves == 'short':
        shirt_parts += [Part.LEFT_SLEEVE, Part.RIGHT_SLEEVE]
    leg_parts = [Part.PELVIS, Part.SKIRT, Part.LEFT_SHORTS, Part.RIGHT_SHORTS]
    if look.legwear == 'trousers':
        leg_parts += range(Part.LEFT_THIGH, Part.LEFT_FOOT)
    main[shirt_parts] = look.shirt.colour
    main[leg_parts] = look.trousers.colour
    main[[Part.LEFT_FOOT, Part.RIGHT_FOOT]] = look.shoes
    main[[Part.HEAD, Part.LONG_HAIR]] = look.hair
    main[[Part.LEFT_EAR, Part.RIGHT_EAR]] = skin * 0.92
    main[Part.EYE_WHITE] = (225, 228, 230)
    main[Part.PUPIL] = (30, 30, 30)
    main[Part.NOSE] = skin * 0.86
    main[Part.MOUTH] = skin * (0.45, 0.45, 0.75)
    main[Part.NECKLINE] = skin * 0.95
    main[Part.PRINT] = look.shirt.second
    if look.backpack is not None:
        main[Part.BACKPACK] = look.backpack
    with_shirt = main.copy()
    with_shirt[shirt_parts] = look.shirt.second
    with_legs = main.copy()
    with_legs[leg_parts] = look.trousers.second
    return tuple(
        np.clip(t, 4, 250).astype(np.uint8)[:, None]
        for t in (main, with_shirt, with_legs)
    )


def _paint(parts, shade, look, pose, *, origin, scale, rng) -> np.ndarray:
    """Colours from labels, shading, the garments' patterns and folds."""
    height, width = parts.shape
    labels = cv2.merge([parts, parts, parts])
    main, with_shirt, with_legs = _colours(look)
    image = cv2.LUT(labels, main)
    garments = ((look.shirt, with_shirt), (look.trousers, with_legs))
    tilt = pose.view[2] + pose.torso[1]
    for garment, table in garments:
        if garment.pattern == 'plain':
            continue
        mask = pattern_mask(
            garment.pattern,
            garment.period * scale,
            garment.angle - tilt,
            origin,
            (width, height),
        )
        # The tables differ on the garment's parts alone.
        cv2.copyTo(cv2.LUT(labels, table), mask, image)
    folds = crop(noise_bank(), rng, width, height)
    shade = cv2.addWeighted(shade, 1.0, folds, 0.22, -28)
    return cv2.multiply(image, cv2.merge([shade, shade, shade]), scale=1 / 128)


def _extent(polygons: list[np.ndarray]) -> tuple[float, float, float, float]:
    points = np.concatenate(polygons)
    low, high = points.min(0), points.max(0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def draw_figure(
    pose: Pose,
    look: Appearance,
    stature: float,
    origin: tuple[float, float],
    image_size: tuple[int, int],
    rng: np.random.Generator,
    *,
    light: tuple[float, float] = (-0.5, -0.8),
    perspective: float = 0.12,
) -> Figure | None:
    """Draw a person on an empty window, None where nothing is in the image.

    ``origin`` is the pelvis (x, y), the light comes from the direction
    ``light``, ``perspective`` is the stature relative to the distance.
    """
    body = forward_kinematics(pose, look.proportions)
    outlines = build_outlines(body, look, stature, origin, perspective, light)
    box = _extent([o.polygons[0] for o in outlines])
    core = _extent(
        [
            o.polygons[0]
            for o in outlines
            if o.part in (Part.TORSO, Part.PELVIS, Part.HEAD)
        ]
    )
    x1 = max(int(box[0]) - 1, 0)
    y1 = max(int(box[1]) - 1, 0)
    x2 = min(int(box[2]) + 2, image_size[0])
    y2 = min(int(box[3]) + 2, image_size[1])
    if x2 - x1 < 2 or y2 - y1 < 2:
        return None

    parts = np.zeros((y2 - y1, x2 - x1), np.uint8)
    shade = np.full_like(parts, 90)
    offset = np.array([x1, y1])
    for outline in outlines:
        fixed = np.rint((outline.polygons - offset) * (1 << _SHIFT))
        fixed = fixed.astype(np.int32)
        cv2.fillConvexPoly(parts, fixed[0], int(outline.part), 8, _SHIFT)
        tint = 128 * min(max(1 + 0.9 * outline.depth, 0.74), 1.2)
        for polygon, level in zip(fixed, _SHADES, strict=False):
            cv2.fillConvexPoly(shade, polygon, tint * level, 8, _SHIFT)
    blur = int(stature / 90) | 1
    if blur > 1:
        shade = cv2.blur(shade, (min(blur, 7), min(blur, 7)))
    centre = (origin[0] - x1, origin[1] - y1)
    image = _paint(
        parts, shade, look, pose, origin=centre, scale=stature, rng=rng
    )

    points = np.concatenate([face_points(body, look), body.joints[_BODY]])
    factor = stature / (1 - perspective * points[:, 2])
    keypoints = np.stack(
        [origin[0] + points[:, 0] * factor, origin[1] - points[:, 1] * factor],
        1,
    )
    own_parts = OWN_PARTS.copy()
    own_parts[:5][face_turned_away(body, look)] = False
    # A shoulder or a hip is seen on the trunk unless it is on its far side.
    for k, frame in ((5, body.chest_frame), (11, body.pelvis_frame)):
        for i, side in enumerate((1, -1)):
            if side * frame[2, 0] > -0.6:
                own_parts[k + i, list(_TRUNK)] = True
    radii = np.array([0.012] * 5 + [0.028] * 4 + [0.014] * 2 + [0.03] * 4
                     + [0.02] * 2)  # fmt: skip
    return Figure(
        x=x1,
        y=y1,
        image=image,
        parts=parts,
        keypoints=keypoints,
        nearness=points[:, 2],
        own_parts=own_parts,
        radii=radii * stature,
        core=core,
        stature=stature,
    )
