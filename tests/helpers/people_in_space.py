"""People in a camera's space, and what a network says that is right."""

import math

import numpy as np
import torch
from spm_maps import make_head, make_samples

from rmpe_spm.cameras import project

CAMERA = dict(
    K=[[300.0, 0, 60], [0, 310, 50], [0, 0, 1]],
    distCoef=[-0.2, 0.05, 1e-3, -5e-4, 0],
)
PLAIN = dict(K=[[150.0, 0, 64], [0, 150, 48], [0, 0, 1]])
PLACES = [(-600, 0, 3000), (500, 60, 3600)]


def bodies(places, num_joints=17, seed=0, spread=400.0):
    """People (N, K, 3) in millimetres around places of camera space."""
    rng = np.random.default_rng(seed)
    offsets = rng.uniform(-spread, spread, (len(places), num_joints, 3))
    return np.array(places, dtype=float)[:, None] + offsets


def focal(camera):
    return math.sqrt(camera['K'][0][0] * camera['K'][1][1])


def encode(codec, people, camera, visible=None):
    pixels = project(people, camera)
    return codec.encode(pixels, visible, people[..., 2], focal(camera))


def network_output(encoded):
    """What a network predicts that is right."""
    vectors = np.concatenate((encoded['displacements'], encoded['depths']))
    return torch.tensor(encoded['heatmaps']), torch.tensor(vectors)


def head_3d(**options):
    codec = dict(type='HierarchicalSPR3DCodec', **options.pop('codec', {}))
    return make_head(codec=codec, **options)


def samples_3d(codec, cameras, **meta):
    """A picture by each camera, and what a network says that is right."""
    people = [
        bodies(PLACES, seed=i, spread=150) * camera['K'][0][0] / 150
        for i, camera in enumerate(cameras)
    ]
    for own, camera in zip(people, cameras, strict=True):
        # the same size in the picture, whatever the focal length
        own[..., :2] /= camera['K'][0][0] / 150
    pixels = [
        project(own, camera)
        for own, camera in zip(people, cameras, strict=True)
    ]
    samples = make_samples(codec, pixels, **meta)
    maps = []
    for sample, own, camera in zip(samples, people, cameras, strict=True):
        encoded = encode(codec, own, camera)
        for key in ('depths', 'depth_weights'):
            sample.gt_fields.set_field(torch.tensor(encoded[key]), key)
        sample.set_metainfo(dict(camera=camera))
        maps.append(network_output(encoded))
    maps = tuple(map(torch.stack, zip(*maps, strict=True)))
    return people, samples, maps
