"""SPM in 3D: targets, and there and back."""

import math

import numpy as np
import pytest
import torch
from people_in_space import CAMERA, PLAIN, bodies, encode, network_output
from spm_maps import SMALL

from rmpe_spm.cameras import project
from rmpe_spm.spm.codec_3d import HierarchicalSPR3DCodec
from rmpe_spm.spm.decoding import PaddedPoses, read_depths
from rmpe_spm.spm.kinematics import (
    NAMED_TREES,
    PoseRepresentation,
    build_kinematic_tree,
)
from rmpe_spm.spm.test_time_augmentation import (
    merge_scale_poses,
    resample_maps,
)

TREES = [*NAMED_TREES, *(f'{name}-flat' for name in NAMED_TREES), [1, 2, -1]]
LOCATIONS = [('root',), ('joint',), ('root', 'joint')]


@pytest.mark.parametrize('locations', LOCATIONS, ids=str)
@pytest.mark.parametrize('kinematics', TREES, ids=str)
def test_there_and_back_from_any_cell(kinematics, locations):
    """To a hundredth of a millimetre in space, with a camera that distorts."""
    tree = build_kinematic_tree(kinematics)
    codec = HierarchicalSPR3DCodec(
        (128, 96),
        (32, 24),
        kinematics=kinematics,
        tau=3,
        depth_locations=locations,
    )
    people = bodies([(0, 0, 4000)], tree.num_joints)
    encoded = encode(codec, people, CAMERA)
    heatmaps, output = network_output(encoded)
    cells = np.argwhere(encoded['depth_weights'][-1] > 0)
    assert len(cells) > 20
    for y, x in cells[::4]:
        roots = torch.zeros_like(heatmaps)
        roots[0, y, x] = 1
        found = codec.decode_3d(roots, output, CAMERA)
        np.testing.assert_allclose(found, people, atol=1e-2)


def brute_force_depths(codec, pixels, depths, labelled, focal):
    """The definitions, one joint and one person at a time."""
    parents = codec.tree.parents
    width, height = codec.heatmap_size
    cells = np.stack(np.meshgrid(range(width), range(height)), axis=-1)
    places = zip(pixels, labelled, strict=True)
    roots = [own[seen].mean(axis=0) / 4 for own, seen in places]

    def windows(centers, counts):
        """The cells near each person's centre."""
        distances = np.linalg.norm(cells - centers[:, None, None], axis=-1)
        distances[~counts] = np.inf
        near = distances <= codec.tau
        if codec.overlap == 'nearest':
            owner = distances.argmin(axis=0)
            near &= owner == np.arange(len(centers))[:, None, None]
        return near

    # only joints with a target have a window, each person has one
    targets = []
    for n, own in enumerate(depths):
        known = labelled[n] & (own > 0)
        values = {}
        targets.append(values)
        if not known.any():
            continue
        root = own[known].mean()
        values[-1] = math.log(root / focal / 10)
        for k in np.flatnonzero(known):
            parent = parents[k]
            if codec.missing_parent == 'ancestor':
                while parent >= 0 and not known[parent]:
                    parent = parents[parent]
            if parent < 0 or known[parent]:
                start = root if parent < 0 else own[parent]
                behind = (own[k] - start) / (root / focal) / 4
                values[k] = behind / codec.normalizer
    blocks = [(k, at) for at in codec.representation.depth_locations
              for k in range(len(parents))]  # fmt: skip
    maps = np.zeros((2, len(blocks) + 1, height, width))
    for channel, (k, at) in enumerate([*blocks, (-1, 'root')]):
        drawn = np.array([k in values for values in targets])
        near = windows(np.array(roots), np.full(len(roots), True))
        if at == 'joint':
            near = windows(pixels[:, k] / 4, drawn)
        for n in np.flatnonzero(drawn):
            maps[0, channel] += near[n] * targets[n][k]
            maps[1, channel] += near[n]
    return maps[0] / np.maximum(maps[1], 1), maps[1] > 0


@pytest.mark.parametrize('locations', LOCATIONS, ids=str)
@pytest.mark.parametrize('overlap', ['mean', 'nearest'])
@pytest.mark.parametrize('missing_parent', ['skip', 'ancestor'])
def test_depths_are_those_of_the_definitions(
    overlap, missing_parent, locations
):
    """Joints without a label or a depth, people behind the camera, overlap."""
    codec = HierarchicalSPR3DCodec(
        **SMALL,
        overlap=overlap,
        missing_parent=missing_parent,
        depth_locations=locations,
    )
    rng = np.random.default_rng(1)
    people = bodies([(-300, 0, 3000), (0, 100, 3500), (500, 0, 2500)])
    pixels = project(people, PLAIN) - (16, 8)
    depths = people[..., 2].copy()
    depths[rng.random(depths.shape) < 0.2] = np.nan
    depths[0, 3], depths[1, 5] = -2000, 0
    depths[2] = -depths[2]  # behind the camera
    labelled = rng.random(depths.shape) < 0.8
    encoded = codec.encode(pixels, labelled.astype(np.float32), depths, 150.0)
    expected, weights = brute_force_depths(
        codec, pixels, depths, labelled, 150.0
    )
    np.testing.assert_array_equal(encoded['depth_weights'], weights)
    np.testing.assert_allclose(encoded['depths'], expected, atol=1e-6)
    assert weights.any() and np.isfinite(encoded['depths']).all()
    # all else is as without depths
    plain = codec.encode(pixels, labelled.astype(np.float32))
    assert not plain['depth_weights'].any() and not plain['depths'].any()
    for key in ('heatmaps', 'displacements', 'displacement_weights'):
        np.testing.assert_array_equal(encoded[key], plain[key])


def test_depths_of_two_locations_by_hand():
    """Read at the root's cell and at each joint's, the nearest on the map."""
    tree = build_kinematic_tree([-1, 0])
    representation = PoseRepresentation(
        tree, 2.0, depth_locations=('root', 'joint')
    )
    maps = torch.zeros(1, 5, 3, 4)
    maps[0, :, 1, 2] = torch.tensor([1.0, 2, 100, 100, 0.5])
    maps[0, 2, 0, 3], maps[0, 3, 2, 0] = 3.0, 7.0
    keypoints = torch.tensor([[[[2.6, 0.4], [-5, 2.3]]]])
    depths = read_depths(maps, torch.tensor([[6]]), keypoints, representation)
    # Z (1 + 3) / 2, that and Z (2 + 7) / 2
    assert depths.tolist() == [[[4.0, 13.0, 0.5]]]


def test_who_looks_the_same_has_the_same_targets():
    """Near a wide lens or far from a long one, in pixels of any size."""
    codec = HierarchicalSPR3DCodec(**SMALL)
    pixels = np.random.default_rng(0).uniform(20, 70, (1, 17, 2))
    depths = 3000 + np.random.default_rng(1).uniform(-9, 9, (1, 17))
    targets = codec.encode(pixels, None, depths, 100.0)['depths']
    far = 9 * depths.mean() + depths
    same = codec.encode(pixels, None, far, 1000.0)['depths']
    np.testing.assert_allclose(same, targets, atol=1e-6)
    # 30 mm a pixel at the root; 1 cell is 4 pixels, Z the map's diagonal
    window = targets[-1] != 0
    shift = math.log(np.mean(depths) / 100 / 10)
    np.testing.assert_allclose(targets[-1][window], shift, rtol=1e-6)
    hip = depths[0, 11] - depths.mean()
    unit = depths.mean() / 100 * 4 * math.hypot(24, 20)
    np.testing.assert_allclose(targets[11][window], hip / unit, rtol=1e-5)


@pytest.mark.parametrize('locations', LOCATIONS, ids=str)
@pytest.mark.parametrize('overlap', ['mean', 'nearest', 'smaller'])
def test_no_people(overlap, locations):
    codec = HierarchicalSPR3DCodec(
        **SMALL, overlap=overlap, depth_locations=locations
    )
    nobody = np.zeros((0, 17, 2)), np.zeros((0, 17)), np.zeros((0, 17)), 100.0
    encoded = codec.encode(*nobody)
    assert encoded['depths'].shape == (17 * len(locations) + 1, 20, 24)
    assert not encoded['depths'].any() and not encoded['depth_weights'].any()
    found = codec.decode_3d(*network_output(encoded), PLAIN)
    assert found.shape == (0, 17, 3)


def test_what_the_codec_refuses():
    codec = HierarchicalSPR3DCodec(**SMALL)
    pixels, depths = np.ones((1, 17, 2)), np.ones((1, 17))
    for bad in (None, 0.0, np.nan):
        with pytest.raises(ValueError, match='focal_length of their camera'):
            codec.encode(pixels, None, depths, bad)
    with pytest.raises(ValueError, match=r'shape \(1, 17\), got \(1, 16\)'):
        codec.encode(pixels, None, depths[:, 1:], 1.0)
    with pytest.raises(ValueError, match="must be 'root'"):
        HierarchicalSPR3DCodec(**SMALL, displacement_location='parent')
    for bad in ((), ('root', 'root'), ('parent',), 'root'):
        with pytest.raises(ValueError, match='depth_locations must be'):
            HierarchicalSPR3DCodec(**SMALL, depth_locations=bad)
    with pytest.raises(ValueError, match="needs 'K'"):
        maps = network_output(codec.encode(pixels, None, depths, 1.0))
        codec.decode_3d(*maps, dict(R=np.eye(3)))
    with pytest.raises(ValueError, match='52 channels'):
        codec.decode(torch.zeros(1, 20, 24), torch.zeros(34, 20, 24))


def test_maps_of_a_resized_picture():
    """What is seen twice as large lies where it was."""
    codec = HierarchicalSPR3DCodec(
        (128, 96), (32, 24), tau=3, overlap='nearest'
    )
    people = bodies([(0, 0, 3000)], spread=150)
    small = dict(K=[[75.0, 0, 32], [0, 75, 24], [0, 0, 1]])
    maps = [
        part[None] for part in network_output(encode(codec, people, small))
    ]
    frame = (2.0, 2.0), (0.0, 0.0)
    maps = resample_maps(maps, codec.representation, frame, (32, 24))
    heatmaps, output = (part[0] for part in maps)
    heatmaps[heatmaps < 0.9] = 0
    found = codec.decode_3d(heatmaps, output, PLAIN)
    np.testing.assert_allclose(found[:1], people, atol=0.1)


def test_poses_of_a_smaller_input_are_brought_to_the_first():
    def pose(x, depths):
        joints = torch.tensor([[[[x, 0.0], [x + 40, 0]]]])
        scores = torch.full((1, 1), 0.9)
        valid, finite = scores > 0, torch.tensor([True])
        depths = torch.tensor([[depths]])
        return PaddedPoses(
            joints, scores, scores[..., None], valid, finite, depths
        )

    inputs = [(200, 100), (100, 50)], [np.array([200.0, 100])] * 2
    poses = [pose(10.0, [1.0, -2, 0.5]), pose(20.0, [1.0, -2, 0.5])]
    merged = merge_scale_poses(poses, inputs, (20, 80))
    assert merged.keypoints[0, 1, 1].tolist() == [120, 0]
    half = 0.5 - math.log(2)
    torch.testing.assert_close(
        merged.depths[0], torch.tensor([[1.0, -2, 0.5], [2, -4, half]])
    )
