"""What people and things look like: textures, colours, shapes and clothes."""

from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np

from .poses import BodyProportions

Colour = tuple[float, float, float]
_SKIN_TONES = np.array(
    [
        (203, 219, 245), (170, 195, 232), (140, 172, 219), (110, 145, 200),
        (80, 115, 172), (58, 85, 135), (45, 62, 98), (34, 44, 68),
    ],
    dtype=np.float64,
)  # fmt: skip
_HAIR_COLOURS = np.array(
    [
        (18, 18, 22), (25, 32, 45), (35, 52, 80), (50, 85, 125),
        (90, 150, 195), (40, 60, 140), (165, 165, 165), (205, 205, 210),
    ],
    dtype=np.float64,
)  # fmt: skip


@dataclass(frozen=True)
class Garment:
    """Colours (BGR), one of ``PATTERNS``, its period in statures, angle."""

    colour: Colour
    second: Colour
    pattern: str = 'plain'
    period: float = 0.05
    angle: float = 0.0


@dataclass(frozen=True)
class Appearance:
    """What a person looks like, apart from the pose."""

    proportions: BodyProportions = field(default_factory=BodyProportions)
    girth: float = 1.0
    limb_girth: float = 1.0
    skin: Colour = (140, 172, 219)
    hair: Colour = (25, 32, 45)
    hair_style: str = 'short'
    shirt: Garment = Garment((150, 80, 60), (220, 220, 220))
    sleeves: str = 'short'
    neckline: float = 0.3
    print_on_front: bool = False
    legwear: str = 'trousers'
    trousers: Garment = Garment((90, 60, 40), (60, 60, 60))
    shoes: Colour = (40, 40, 40)
    backpack: Colour | None = None


def random_colour(rng: np.random.Generator) -> Colour:
    """A colour (BGR) of cloth: greys, dark and faded tones prevail."""
    kind = rng.random()
    if kind < 0.25:
        value = rng.uniform(15, 245)
        return tuple(float(c) for c in value + rng.normal(0, 6, 3))
    hue = rng.uniform(0, 180)
    if kind < 0.45:
        hue, saturation, value = (
            110,
            rng.uniform(60, 180),
            rng.uniform(40, 170),
        )
    else:
        saturation, value = rng.uniform(40, 235), rng.uniform(45, 245)
    pixel = np.uint8([[[hue, saturation, value]]])
    return tuple(
        float(c) for c in cv2.cvtColor(pixel, cv2.COLOR_HSV2BGR)[0, 0]
    )


def random_skin(rng: np.random.Generator) -> Colour:
    """A skin tone (BGR)."""
    position = rng.uniform(0, len(_SKIN_TONES) - 1.001)
    i, t = int(position), position % 1
    tone = _SKIN_TONES[i] * (1 - t) + _SKIN_TONES[i + 1] * t
    return tuple(float(c) for c in tone * rng.normal(1, 0.03, 3))


def _garment(rng, patterned: float) -> Garment:
    pattern = 'plain'
    if rng.random() < patterned:
        pattern = PATTERNS[1 + int(rng.choice(3, p=[0.45, 0.3, 0.25]))]
    return Garment(
        colour=random_colour(rng),
        second=random_colour(rng),
        pattern=pattern,
        period=float(rng.uniform(0.02, 0.09)),
        angle=float(rng.choice([0, 0, 0, 90, 45])),
    )


def sample_proportions(rng: np.random.Generator) -> BodyProportions:
    """Sample the lengths of a body; one in eight is a child's."""
    base = BodyProportions()
    j = rng.normal(1.0, 0.05, 8)
    child = rng.random() < 0.12
    head = float(rng.normal(1.0, 0.05)) * (1.4 if child else 1.0)
    limb = 0.9 if child else 1.0
    return BodyProportions(
        torso=base.torso * j[0],
        neck=base.neck * (1.18 if child else 1.0) * j[1],
        shoulder_half=base.shoulder_half * j[2] * (0.9 if child else 1.0),
        hip_half=base.hip_half * j[3],
        upper_arm=base.upper_arm * limb * j[4],
        forearm=base.forearm * limb * j[5],
        hand=base.hand * limb,
        thigh=base.thigh * limb * j[6],
        shank=base.shank * limb * j[7],
        foot=base.foot,
        head_radii=tuple(r * head for r in base.head_radii),
    )


def sample_appearance(rng: np.random.Generator) -> Appearance:
    """Sample a body's shape and its clothes."""
    girth = float(np.clip(rng.lognormal(0.05, 0.16), 0.75, 1.7))
    hair_style = ('short', 'long', 'bald', 'cap')[
        int(rng.choice(4, p=[0.52, 0.28, 0.07, 0.13]))
    ]
    hair = tuple(
        float(c)
        for c in _HAIR_COLOURS[rng.integers(len(_HAIR_COLOURS))]
        + rng.normal(0, 6, 3)
    )
    skin = random_skin(rng)
    if hair_style == 'cap':
        hair = random_colour(rng)
    elif hair_style == 'bald':
        hair = tuple(c * 0.93 for c in skin)
    legwear = ('trousers', 'shorts', 'skirt')[
        int(rng.choice(3, p=[0.66, 0.2, 0.14]))
    ]
    trousers = _garment(rng, 0.12 if legwear == 'trousers' else 0.35)
    shirt = _garment(rng, 0.5)
    if rng.random() < 0.08:  # a suit, a dress, an overall
        trousers = shirt
    return Appearance(
        proportions=sample_proportions(rng),
        girth=girth,
        limb_girth=float(np.clip(rng.lognormal(0, 0.12), 0.75, 1.4))
        * (0.6 + 0.4 * girth),
        skin=skin,
        hair=hair,
        hair_style=hair_style,
        shirt=shirt,
        sleeves=('none', 'short', 'long')[
            int(rng.choice(3, p=[0.12, 0.44, 0.44]))
        ],
        neckline=float(rng.uniform(0.1, 0.5)),
        print_on_front=bool(rng.random() < 0.3),
        legwear=legwear,
        trousers=trousers,
        shoes=random_colour(rng),
        backpack=random_colour(rng) if rng.random() < 0.1 else None,
    )


# What covers cloth and walls.
PATTERNS = ('plain', 'stripes', 'checks', 'noise')
_SIZE = 1024
_PERIOD = 32


def octave_noise(
    rng: np.random.Generator,
    size: tuple[int, int],
    cells: tuple[int, ...],
    channels: int = 1,
) -> np.ndarray:
    """Smooth noise around 128, uint8, of random grids, coarse first."""
    width, height = size
    total = None
    weight = 1.0
    for cell in cells:
        rows = max(2, round(cell * height / width))
        grid = rng.integers(0, 256, (rows, cell, channels), dtype=np.uint8)
        layer = cv2.resize(grid, size, interpolation=cv2.INTER_LINEAR)
        if total is None:
            total = layer
        else:
            weight /= 2
            total = cv2.addWeighted(total, 1.0, layer, weight, -127.5 * weight)
    return total


@lru_cache(maxsize=1)
def noise_bank() -> np.ndarray:
    """Octave noise, uint8 (1024, 1024)."""
    rng = np.random.default_rng(20170512)
    noise = octave_noise(rng, (_SIZE, _SIZE), (12, 40, 120, 400))
    return cv2.add(noise, float(128 - noise.mean()))


@lru_cache(maxsize=1)
def grain_bank() -> np.ndarray:
    """A sensor's grain, uint8 (1024, 1024, 3), mean 128, deviation 32."""
    rng = np.random.default_rng(20190824)
    grain = rng.normal(128, 32, (_SIZE, _SIZE, 3))
    grain = np.clip(grain, 0, 255).astype(np.uint8)
    # Half of the grain is finer than a pixel, half is demosaicing's blotch.
    return cv2.addWeighted(
        grain, 0.75, cv2.GaussianBlur(grain, (3, 3), 0.8), 0.6, -44.8
    )


@lru_cache(maxsize=4)
def pattern_bank(pattern: str) -> np.ndarray:
    """A two-valued pattern with a period of 32 pixels, uint8 0 or 255."""
    if pattern == 'noise':
        noise = noise_bank()[:512, :512]
        return np.where(noise > 128, 255, 0).astype(np.uint8)
    row = (np.arange(512) // (_PERIOD // 2)) % 2
    if pattern == 'stripes':
        grid = np.repeat(row[:, None], 512, axis=1)
    else:  # checks
        grid = row[:, None] ^ row[None, :]
    return (grid * 255).astype(np.uint8)


def crop(
    bank: np.ndarray, rng: np.random.Generator, width: int, height: int
) -> np.ndarray:
    """A random window of a bank; a larger one than the bank is stretched."""
    rows, columns = bank.shape[:2]
    if width > columns or height > rows:
        return cv2.resize(bank, (width, height))
    y = int(rng.integers(rows - height + 1))
    x = int(rng.integers(columns - width + 1))
    return bank[y : y + height, x : x + width]


def pattern_mask(
    pattern: str,
    period: float,
    angle: float,
    centre: tuple[float, float],
    size: tuple[int, int],
) -> np.ndarray:
    """A pattern, uint8 0 or 255; ``period`` and ``centre`` are in pixels."""
    scale = _PERIOD / max(period, 3.0)
    c = scale * np.cos(np.deg2rad(angle))
    s = scale * np.sin(np.deg2rad(angle))
    x, y = centre
    matrix = np.float64([[c, s, -c * x - s * y], [-s, c, s * x - c * y]])
    return cv2.warpAffine(
        pattern_bank(pattern),
        matrix,
        size,
        flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_WRAP,
    )
