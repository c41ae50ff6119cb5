"""Places for people to be in, and things that stand in front of them."""

import cv2
import numpy as np

from .appearance import (
    PATTERNS,
    crop,
    noise_bank,
    octave_noise,
    pattern_mask,
    random_colour,
    random_skin,
)

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
