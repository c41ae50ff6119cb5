"""Banks of textures, made once in a process from fixed seeds."""

from functools import lru_cache

import cv2
import numpy as np

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
    """Smooth noise around 128: a weighted sum of upsampled random grids.

    ``cells`` is the number of cells across, one entry an octave, coarse first;
    an octave weighs half as much as the one before. Returns uint8, (h, w) or
    (h, w, channels), for a ``size`` (w, h).
    """
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
    elif pattern == 'checks':
        grid = row[:, None] ^ row[None, :]
    else:
        raise ValueError(f"no pattern is called '{pattern}'")
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
    """A pattern drawn at some period, direction and place, uint8 0 or 255.

    ``period`` in pixels, ``angle`` in degrees (0 has the stripes along x),
    ``centre`` (x, y) the pixel at the pattern's origin, ``size`` (w, h).
    """
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
