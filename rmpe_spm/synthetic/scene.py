"""Composing one picture: the place, who stands where, who hides whom."""

from typing import NamedTuple

import cv2
import numpy as np

from .appearance import (
    PATTERNS,
    crop,
    grain_bank,
    noise_bank,
    octave_noise,
    pattern_mask,
    random_colour,
    random_skin,
    sample_appearance,
)
from .figure import Figure, draw_figure
from .poses import sample_pose

_SHIFT = 4


def draw_background(
    rng: np.random.Generator, size: tuple[int, int]
) -> np.ndarray:
    """Draw a place without people, (h, w, 3), BGR.

    A part of the clutter has the colours and shapes of limbs, so that neither
    gives a person away.
    """
    width, height = size
    kind = rng.random()
    if kind < 0.25:
        image = _blotches(rng, size)
    else:
        image = _wall_and_floor(rng, size, outdoors=kind > 0.6)
    amplitude = rng.uniform(0.05, 0.5)
    grey = crop(noise_bank(), rng, width, height)
    image = cv2.addWeighted(
        image, 1.0, cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), amplitude,
        -128 * amplitude,
    )  # fmt: skip
    for _ in range(int(rng.poisson(rng.choice([3, 9, 22])))):
        _add_clutter(image, rng)
    softness = rng.random()
    if softness < 0.3:  # out of focus, cheaply: from a quarter of the size
        small = cv2.resize(image, (width // 4, height // 4))
        image = cv2.resize(small, size)
    elif softness < 0.55:
        image = cv2.blur(image, (3, 3))
    return image


def _blotches(rng, size):
    cells = int(rng.integers(3, 9))
    noise = octave_noise(rng, size, (cells, 4 * cells, 16 * cells), 3)
    tone = np.full_like(noise, random_colour(rng))
    vividness = rng.beta(1.2, 2.5)
    return cv2.addWeighted(noise, vividness, tone, 1 - vividness, 0)


def _wall_and_floor(rng, size, outdoors):
    width, height = size
    horizon = int(rng.uniform(0.25, 0.8) * height)
    rows = np.empty((height, 1, 3))
    for first, last, above in ((0, horizon, True), (horizon, height, False)):
        top, bottom = np.array(random_colour(rng)), rng.normal(0, 22, 3)
        if outdoors and above:
            top = np.array([235, 205, 170]) * rng.uniform(0.6, 1.05)
        ramp = np.linspace(0, 1, last - first)[:, None, None]
        rows[first:last] = top + ramp * bottom
    image = np.clip(rows, 0, 255).astype(np.uint8)
    image = cv2.resize(image, size, interpolation=cv2.INTER_NEAREST)
    if rng.random() < 0.35:  # tiles, boards, bricks
        wall = image[:horizon] if rng.random() < 0.6 else image[horizon:]
        mask = pattern_mask(
            PATTERNS[1 + int(rng.integers(2))],
            rng.uniform(8, 90),
            float(rng.choice([0, 90])),
            (0.0, 0.0),
            (wall.shape[1], wall.shape[0]),
        )
        cv2.copyTo(cv2.convertScaleAbs(wall, alpha=rng.uniform(0.7, 0.95)),
                   mask, wall)  # fmt: skip
    return image


def _add_clutter(image, rng):
    """Add one thing: a board, a ball, a bar, a rag, or a limb's like."""
    height, width = image.shape[:2]
    scale = float(np.exp(rng.uniform(np.log(12), np.log(0.4 * height))))
    x, y = rng.uniform(0, width), rng.uniform(0, height)
    kind = rng.random()
    colour = random_skin(rng) if rng.random() < 0.2 else random_colour(rng)
    if kind < 0.3:
        w, h = scale * rng.uniform(0.3, 1.5), scale * rng.uniform(0.3, 1.5)
        corners = (int(x - w / 2), int(y - h / 2), int(w) + 1, int(h) + 1)
        cv2.rectangle(image, corners, colour, -1)
        if rng.random() < 0.5:
            cv2.rectangle(
                image, corners, random_colour(rng), int(rng.integers(1, 4))
            )
    elif kind < 0.45:
        axes = (int(scale * rng.uniform(0.1, 0.5)) + 1,
                int(scale * rng.uniform(0.1, 0.5)) + 1)  # fmt: skip
        cv2.ellipse(
            image, (int(x), int(y)), axes, rng.uniform(0, 180), 0, 360,
            colour, -1, cv2.LINE_AA,
        )  # fmt: skip
    elif kind < 0.6:
        angle = rng.uniform(0, np.pi)
        end = (int(x + 2 * scale * np.cos(angle)),
               int(y + 2 * scale * np.sin(angle)))  # fmt: skip
        cv2.line(
            image, (int(x), int(y)), end, colour, int(rng.integers(1, 9)),
            cv2.LINE_AA,
        )  # fmt: skip
    elif kind < 0.8:
        points = rng.normal((x, y), scale * 0.35, (int(rng.integers(3, 8)), 2))
        hull = cv2.convexHull(points.astype(np.float32))
        cv2.fillConvexPoly(image, np.rint(hull).astype(np.int32), colour)
    else:
        _add_limb_like(image, rng, (x, y), scale, colour)


def _add_limb_like(image, rng, start, length, colour):
    """Two thick strokes that meet, shaded: a tree, a lamp, a doll."""
    thickness = max(int(length * rng.uniform(0.08, 0.3)), 2)
    point = np.array(start)
    angle = rng.uniform(0, 2 * np.pi)
    for _ in range(2):
        angle += rng.normal(0, 0.8)
        end = point + 0.6 * length * np.array([np.cos(angle), np.sin(angle)])
        a, b = (tuple(map(int, p)) for p in (point, end))
        cv2.line(image, a, b, [c * 0.75 for c in colour], thickness,
                 cv2.LINE_AA)  # fmt: skip
        cv2.line(image, a, b, colour, max(thickness // 2, 1), cv2.LINE_AA)
        point = end
    if rng.random() < 0.4:
        centre = tuple(map(int, point))
        cv2.circle(image, centre, thickness, colour, -1, cv2.LINE_AA)


def sample_obstacle(
    rng: np.random.Generator,
    x: float,
    bottom: float,
    stature: float,
) -> np.ndarray:
    """Sample the outline (N, 2) of a thing that hides a part of a person."""
    kind = rng.random()
    x = x + rng.normal(0, 0.15) * stature
    if kind < 0.4:  # a table or a wall: all below some height
        w, h = stature * rng.uniform(0.4, 1.2), stature * rng.uniform(0.2, 0.6)
        box = (x - w / 2, bottom - h, x + w / 2, bottom + 0.15 * stature)
    elif kind < 0.65:  # a post
        w = stature * rng.uniform(0.04, 0.16)
        box = (x - w / 2, bottom - stature * 1.3, x + w / 2, bottom + 9)
    elif kind < 0.85:  # a bush, a ball
        angles = np.linspace(0, 2 * np.pi, 14, endpoint=False)
        radius = stature * rng.uniform(0.08, 0.3)
        y = bottom - stature * rng.uniform(0.1, 0.9)
        return np.stack(
            [x + radius * np.cos(angles), y + radius * np.sin(angles)], 1
        )
    else:  # a board at any height
        w, h = stature * rng.uniform(0.15, 0.6, 2)
        y = bottom - stature * rng.uniform(0.2, 1.0)
        box = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
    x1, y1, x2, y2 = box
    lean = rng.normal(0, 0.03) * stature
    return np.array(
        [(x1 + lean, y1), (x2 + lean, y1), (x2, y2), (x1, y2)], float
    )


def paint_obstacle(
    image: np.ndarray,
    owners: np.ndarray,
    polygon: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Paint a thing over a picture and the map of who is seen, in place."""
    fixed = np.rint(polygon * (1 << _SHIFT)).astype(np.int32)
    colour = random_colour(rng)
    cv2.fillConvexPoly(image, fixed, colour, cv2.LINE_8, _SHIFT)
    cv2.fillConvexPoly(owners, fixed, 0, cv2.LINE_8, _SHIFT)
    if rng.random() < 0.5:
        centre = polygon.mean(0)
        inner = centre + (polygon - centre) * rng.uniform(0.5, 0.92)
        fixed = np.rint(inner * (1 << _SHIFT)).astype(np.int32)
        lighter = [min(c * rng.uniform(0.8, 1.3), 255) for c in colour]
        cv2.fillConvexPoly(image, fixed, lighter, cv2.LINE_8, _SHIFT)


# How many people a picture shows, apart from a crowd.
PEOPLE_COUNTS = {
    0: 0.06, 1: 0.42, 2: 0.19, 3: 0.11, 4: 0.07, 5: 0.05, 6: 0.04, 8: 0.04,
    11: 0.02,
}  # fmt: skip
CROWD_SHARE = 0.06

# Statures in pixels of a picture 480 high: log-uniform between them.
STATURES = (85.0, 1400.0)
_PELVIS_HEIGHT = 0.49


class Placement(NamedTuple):
    """Where a person is: x of the pelvis, y of the feet, stature (pixels)."""

    x: float
    bottom: float
    stature: float
    in_crowd: bool


class Scene:
    """A picture and what is seen of whom; nobody in the beginning.

    ``owners`` (h, w) has the number, from 1, of the person who is seen at a
    pixel; ``people`` all who are partly in the frame.
    """

    def __init__(self, image: np.ndarray) -> None:
        self.image = image
        self.owners = np.zeros(image.shape[:2], np.uint8)
        self.people: list[Figure] = []
        self.in_crowd: list[bool] = []

    def add(self, figure: Figure, in_crowd: bool = False) -> None:
        """Draw a figure over all that is there."""
        self.people.append(figure)
        self.in_crowd.append(in_crowd)
        height, width = figure.parts.shape
        rows = slice(figure.y, figure.y + height)
        columns = slice(figure.x, figure.x + width)
        cv2.copyTo(figure.image, figure.parts, self.image[rows, columns])
        window = self.owners[rows, columns]
        number = np.full_like(window, len(self.people))
        cv2.copyTo(number, figure.parts, window)


def sample_placements(
    rng: np.random.Generator, size: tuple[int, int]
) -> list[Placement]:
    """Sample where people are, in painting order; many stand close."""
    counts = tuple(PEOPLE_COUNTS)
    weights = np.fromiter(PEOPLE_COUNTS.values(), float)
    count = counts[rng.choice(len(counts), p=weights / weights.sum())]
    low, high = (s * size[1] / 480 for s in STATURES)
    high *= max(count, 1) ** -0.4
    base = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    places: list[Placement] = []
    for _ in range(count):
        stature = base * float(rng.lognormal(0, 0.2))
        if places and rng.random() < 0.55:
            other = places[rng.integers(len(places))]
            side = 1 if rng.random() < 0.5 else -1
            x = other.x + side * stature * abs(rng.normal(0.25, 0.15))
            stature = 0.5 * (stature + other.stature)
            bottom = other.bottom + rng.normal(0, 0.08) * stature
        else:
            x = rng.uniform(-0.03, 1.03) * size[0]
            bottom = _sample_bottom(rng, stature, size[1])
        places.append(Placement(x, bottom, stature, False))
    if rng.random() < CROWD_SHARE:
        places += _sample_crowd(rng, size)
    # Who stands lower in the picture is nearer; the crowd is behind all.
    return sorted(places, key=lambda p: (not p.in_crowd, p.bottom))


def _sample_bottom(rng, stature, height):
    if stature < 0.75 * height:
        return rng.uniform(stature * 0.85, height + 0.1 * stature)
    top = rng.uniform(-0.08, 0.35) * height
    return top + stature


def _sample_crowd(rng, size):
    width, height = size
    stature = rng.uniform(0.05, 0.13) * height
    left, top = rng.uniform(0, 0.6) * width, rng.uniform(0.1, 0.6) * height
    span = rng.uniform(0.15, 0.45) * width
    return [
        Placement(
            left + rng.uniform(0, span),
            top + rng.uniform(0.9, 1.6) * stature,
            stature * float(rng.lognormal(0, 0.08)),
            True,
        )
        for _ in range(int(rng.integers(10, 28)))
    ]


def compose_scene(
    rng: np.random.Generator, size: tuple[int, int] = (640, 480)
) -> Scene:
    """Draw a picture of people, those in front painted over the others."""
    scene = Scene(draw_background(rng, size))
    angle = rng.uniform(-np.pi, 0)
    light = (0.9 * np.cos(angle), 0.9 * np.sin(angle))
    hidden_share = rng.choice([0.0, 0.12, 0.4])
    for place in sample_placements(rng, size):
        if not place.in_crowd:
            _cast_shadow(scene.image, place)
        figure = draw_figure(
            sample_pose(rng),
            sample_appearance(rng),
            place.stature,
            (place.x, place.bottom - _PELVIS_HEIGHT * place.stature),
            size,
            rng,
            light=light,
        )
        if figure is None:
            continue
        scene.add(figure, place.in_crowd)
        if rng.random() < hidden_share and not place.in_crowd:
            thing = sample_obstacle(rng, place.x, place.bottom, place.stature)
            paint_obstacle(scene.image, scene.owners, thing, rng)
    scene.image = photograph(scene.image, rng)
    return scene


def _cast_shadow(image, place):
    axes = (0.22 * place.stature, 0.035 * place.stature)
    x1, y1 = (int(max(v, 0)) for v in (place.x - axes[0],
                                       place.bottom - axes[1]))  # fmt: skip
    window = image[y1 : int(place.bottom + axes[1]) + 1,
                   x1 : int(place.x + axes[0]) + 1]  # fmt: skip
    if window.size == 0 or x1 > place.x + axes[0]:
        return
    mask = np.zeros(window.shape[:2], np.uint8)
    centre = (int(place.x - x1), int(place.bottom - y1))
    cv2.ellipse(mask, centre, tuple(int(a) + 1 for a in axes), 0, 0, 360, 255,
                -1)  # fmt: skip
    cv2.copyTo(cv2.convertScaleAbs(window, alpha=0.62), mask, window)


def photograph(image, rng):
    """What a camera adds: softness, exposure, white balance and grain."""
    softness = rng.random()
    if softness < 0.6:
        image = cv2.GaussianBlur(image, (3, 3), rng.uniform(0.45, 0.8))
    elif softness < 0.7:
        image = cv2.GaussianBlur(image, (5, 5), rng.uniform(0.8, 1.4))
    levels = np.arange(256) / 255.0
    curve = levels ** rng.uniform(0.7, 1.45) * rng.uniform(0.75, 1.12)
    table = curve[:, None] * rng.normal(1, 0.05, 3) * 255 + rng.uniform(0, 12)
    table = np.clip(table, 0, 255).astype(np.uint8)[:, None]
    image = cv2.LUT(image, table)
    strength = rng.uniform(0.02, 0.4)
    grain = crop(grain_bank(), rng, image.shape[1], image.shape[0])
    return cv2.addWeighted(image, 1.0, grain, strength, -128 * strength)
