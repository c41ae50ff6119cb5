"""Flat convex pieces of a figure, in painter's order."""

from enum import IntEnum
from typing import NamedTuple

import cv2
import numpy as np

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
