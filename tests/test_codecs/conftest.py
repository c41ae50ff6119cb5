import importlib.util
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope='session')
def brute_force_spr():
    """The module of the same name: the encoder as loops."""
    spec = importlib.util.spec_from_file_location(
        'brute_force_spr', Path(__file__).with_name('brute_force_spr.py')
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='session')
def make_poses():
    """A function that draws poses (N, K, 2) in input pixels."""

    def draw(num_persons, num_joints, input_size, seed=0, spread=25):
        rng = np.random.RandomState(seed)
        w, h = input_size
        centers = rng.uniform(0.1, 0.9, (num_persons, 1, 2)) * (w, h)
        offsets = rng.uniform(-spread, spread, (num_persons, num_joints, 2))
        return (centers + offsets).astype(np.float32)

    return draw
