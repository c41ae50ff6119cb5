"""Composing one picture: who stands where and who hides whom."""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from .appearance import crop, grain_bank, sample_appearance
from .background import draw_background, paint_obstacle, sample_obstacle
from .figure import Figure, draw_figure
from .poses import sample_pose

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


@dataclass
class Scene:
    """A picture and what is seen of whom.

    ``owners`` (h, w) has the number, from 1, of the person who is seen at a
    pixel; ``people`` all who are partly in the frame.
    """

    image: np.ndarray
    owners: np.ndarray
    people: list[Figure]
    in_crowd: list[bool]


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
    image = draw_background(rng, size)
    owners = np.zeros(image.shape[:2], np.uint8)
    angle = rng.uniform(-np.pi, 0)
    light = (0.9 * np.cos(angle), 0.9 * np.sin(angle))
    people: list[Figure] = []
    in_crowd: list[bool] = []
    hidden_share = rng.choice([0.0, 0.12, 0.4])
    for place in sample_placements(rng, size):
        if not place.in_crowd:
            _cast_shadow(image, place)
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
        people.append(figure)
        in_crowd.append(place.in_crowd)
        paste_figure(image, owners, figure, len(people))
        if rng.random() < hidden_share and not place.in_crowd:
            thing = sample_obstacle(rng, place.x, place.bottom, place.stature)
            paint_obstacle(image, owners, thing, rng)
    return Scene(photograph(image, rng), owners, people, in_crowd)


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


def paste_figure(image, owners, figure, number):
    """Draw a figure, and write its number where it covers ``owners``."""
    height, width = figure.parts.shape
    rows = slice(figure.y, figure.y + height)
    columns = slice(figure.x, figure.x + width)
    cv2.copyTo(figure.image, figure.parts, image[rows, columns])
    window = owners[rows, columns]
    cv2.copyTo(np.full_like(window, number), figure.parts, window)


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
