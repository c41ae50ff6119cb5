"""Poses to encode and decode."""

import numpy as np


def make_poses(num_persons, num_joints, input_size, seed=0, spread=25):
    """Poses (N, K, 2) in input pixels, anywhere on an input of (w, h)."""
    rng = np.random.RandomState(seed)
    w, h = input_size
    centers = rng.uniform(0.1, 0.9, (num_persons, 1, 2)) * (w, h)
    offsets = rng.uniform(-spread, spread, (num_persons, num_joints, 2))
    return (centers + offsets).astype(np.float32)
