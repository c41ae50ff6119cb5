"""People in a camera's space, and what a network says that is right."""

import numpy as np
import torch

from rmpe_spm.cameras import focal_length as focal
from rmpe_spm.cameras import project

CAMERA = dict(
    K=[[300.0, 0, 60], [0, 310, 50], [0, 0, 1]],
    distCoef=[-0.2, 0.05, 1e-3, -5e-4, 0],
)
PLAIN = dict(K=[[150.0, 0, 64], [0, 150, 48], [0, 0, 1]])


def bodies(places, num_joints=17, seed=0, spread=400.0):
    """People (N, K, 3) in millimetres around places of camera space."""
    rng = np.random.default_rng(seed)
    offsets = rng.uniform(-spread, spread, (len(places), num_joints, 3))
    return np.array(places, dtype=float)[:, None] + offsets


def encode(codec, people, camera, visible=None):
    pixels = project(people, camera)
    return codec.encode(pixels, visible, people[..., 2], focal(camera))


def network_output(encoded):
    """What a network predicts that is right."""
    vectors = np.concatenate((encoded['displacements'], encoded['depths']))
    return torch.tensor(encoded['heatmaps']), torch.tensor(vectors)
