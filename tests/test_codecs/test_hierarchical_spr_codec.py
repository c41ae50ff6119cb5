import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmpose.registry import KEYPOINT_CODECS

from rmpe_spm.codecs import HierarchicalSPRCodec
from rmpe_spm.codecs.kinematic_tables import NAMED_TREES
from rmpe_spm.codecs.kinematics import build_kinematic_tree

_spec = importlib.util.spec_from_file_location(
    'brute_force_spr', Path(__file__).with_name('brute_force_spr.py')
)
brute_force_spr = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(brute_force_spr)

SMALL = dict(input_size=(96, 80), heatmap_size=(24, 20), sigma=4, tau=3)
TREES = [*NAMED_TREES, 'coco-flat', [-1], [1, 2, 3, -1]]


def make_poses(num_persons, num_joints, input_size, seed=0, spread=25):
    rng = np.random.RandomState(seed)
    w, h = input_size
    centers = rng.uniform(0.1, 0.9, (num_persons, 1, 2)) * (w, h)
    offsets = rng.uniform(-spread, spread, (num_persons, num_joints, 2))
    return (centers + offsets).astype(np.float32)


def decode_from(codec, encoded, cell):
    """Decode with the root peak put on a cell (x, y) by hand."""
    heatmaps = torch.zeros(1, *encoded['displacements'].shape[1:])
    heatmaps[0, cell[1], cell[0]] = 1
    keypoints, _ = codec.decode(
        heatmaps, torch.from_numpy(encoded['displacements'])
    )
    return keypoints.numpy()


# ---- encoding


@pytest.mark.parametrize(
    'options',
    [
        {},
        dict(kinematics='coco-flat'),
        dict(gaussian='standard', window='square'),
        dict(unit='input', sigma=9, tau=9, keypoint_sigma=5),
        dict(tau=2.6),
        dict(overlap='nearest'),
        dict(overlap='smaller', root_type='bbox_center'),
        dict(root_type='pelvis', missing_parent='ancestor'),
        dict(root_type=0, normalizer=None),
        dict(displacement_location='parent', overlap='mean'),
        dict(displacement_location='parent', overlap='nearest'),
        dict(displacement_location='parent', overlap='smaller'),
        dict(displacement_location='parent', missing_parent='ancestor'),
        dict(generate_keypoint_heatmaps=True, normalizer=7.5),
    ],
    ids=str,
)
def test_encode_agrees_with_brute_force(options):
    codec = HierarchicalSPRCodec(**(SMALL | options))
    for seed in range(2):
        keypoints = make_poses(5, 17, codec.input_size, seed)
        keypoints[1] += keypoints[0].mean(axis=0) - keypoints[1].mean(axis=0)
        visible = np.random.RandomState(seed).rand(5, 17) > 0.3
        visible[4] = seed == 0  # once a person with no labelled joint
        encoded = codec.encode(keypoints, visible.astype(np.float32))
        expected = brute_force_spr.encode(codec, keypoints, visible)
        assert (expected['displacement_weights'] > 0).any()
        for key, value in expected.items():
            assert encoded[key].shape == value.shape
            assert encoded[key].dtype == np.float32
            np.testing.assert_allclose(
                encoded[key], value, rtol=1e-6, atol=1e-6, err_msg=key
            )


def test_hand_computed_person():
    codec = HierarchicalSPRCodec(
        (64, 64), (16, 16), kinematics=[-1, 0], sigma=2, tau=1.5
    )
    # root at cell (6, 5): joints at cells (4, 4) and (8, 6)
    encoded = codec.encode(np.array([[[16.0, 16.0], [32.0, 24.0]]]))
    heatmap = encoded['heatmaps'][0]
    assert heatmap[5, 6] == 1
    assert heatmap[5, 8] == pytest.approx(np.exp(-4 / 4))
    assert heatmap[8, 7] == pytest.approx(np.exp(-10 / 4))
    z = np.hypot(16, 16)
    # a disc of radius 1.5 has 9 cells
    weights = encoded['displacement_weights']
    assert weights.shape == (4, 16, 16)
    assert (weights.sum(axis=(1, 2)) == 9).all()
    # at cell (7, 4): the first joint from the cell, the second from the first
    np.testing.assert_allclose(
        encoded['displacements'][:, 4, 7] * z, [-3, 0, 4, 2], rtol=1e-6
    )
    np.testing.assert_allclose(
        encoded['displacements'][:, 5, 6] * z, [-2, -1, 4, 2], rtol=1e-6
    )
    assert (encoded['displacements'][:, 5, 8] == 0).all()
    assert (encoded['heatmap_weights'] == 1).all()


def test_window_sizes():
    keypoints = np.full((1, 1, 2), 256.0)
    for options, count in [
        (dict(), 149),
        (dict(window='square'), 225),
        (dict(unit='input'), 9),
    ]:
        codec = HierarchicalSPRCodec(
            (512, 512), (128, 128), kinematics=[-1], **options
        )
        weights = codec.encode(keypoints)['displacement_weights']
        assert weights.sum() == 2 * count, options


def test_mean_counts_only_persons_with_the_joint():
    codec = HierarchicalSPRCodec(
        (64, 64), (16, 16), kinematics=[-1, -1], tau=7, normalizer=None
    )
    keypoints = np.zeros((2, 2, 2))
    keypoints[:, 0] = [[24, 24], [32, 24]]
    keypoints[:, 1] = [[40, 40], [60, 60]]
    visible = np.array([[1, 1], [1, 0]])
    codec_root = HierarchicalSPRCodec(
        (64, 64),
        (16, 16),
        kinematics=[-1, -1],
        tau=7,
        normalizer=None,
        root_type=0,
    )
    at = codec_root.encode(keypoints, visible)['displacements'][:, 6, 7]
    # the first joint is the mean of -1 and 1, the second is one person's
    np.testing.assert_allclose(at, [0, 0, 3, 4], atol=1e-6)
    assert codec.encode(keypoints, visible)['heatmaps'].max() > 0.9


def test_flat_is_the_star_tree():
    flat = HierarchicalSPRCodec(**SMALL, kinematics='coco-flat')
    star = HierarchicalSPRCodec(**SMALL, kinematics=[-1] * 17)
    keypoints = make_poses(3, 17, flat.input_size)
    one, two = flat.encode(keypoints), star.encode(keypoints)
    for key in one:
        np.testing.assert_array_equal(one[key], two[key])
    # and joint offsets of any tree are the flat displacements
    tree = HierarchicalSPRCodec(**SMALL, generate_joint_offsets=True)
    three = tree.encode(keypoints)
    np.testing.assert_array_equal(three['joint_offsets'], one['displacements'])


def test_joint_offsets_are_the_accumulated_displacements():
    codec = HierarchicalSPRCodec(**SMALL, generate_joint_offsets=True)
    encoded = codec.encode(make_poses(4, 17, codec.input_size))
    summed = codec.accumulate(torch.tensor(encoded['displacements'])[None])
    np.testing.assert_allclose(summed[0], encoded['joint_offsets'], atol=1e-5)


def test_joint_offsets_need_no_parent():
    codec = HierarchicalSPRCodec(**SMALL, generate_joint_offsets=True)
    visible = np.ones((1, 17))
    visible[0, 5] = 0
    encoded = codec.encode(make_poses(1, 17, codec.input_size), visible)
    assert encoded['displacement_weights'][2 * 7].max() == 0
    assert encoded['joint_offset_weights'][2 * 7].max() == 1
    assert encoded['joint_offset_weights'][2 * 5].max() == 0


def test_small_persons_are_neither_drawn_nor_background():
    codec = HierarchicalSPRCodec(**SMALL, min_diagonal=20)
    keypoints = make_poses(2, 17, codec.input_size, spread=20)
    keypoints[0] = keypoints[0].mean(axis=0) + [[2.0, 0.0]] * 17
    encoded = codec.encode(keypoints)
    alone = codec.encode(keypoints[1:])
    for key in ('heatmaps', 'displacements', 'displacement_weights'):
        np.testing.assert_array_equal(encoded[key], alone[key])
    x, y = np.rint(keypoints[0].mean(axis=0) / 4).astype(int)
    assert encoded['heatmap_weights'][0, y, x] == 0
    assert encoded['heatmap_weights'].min(initial=1) == 0
    assert 0 < (encoded['heatmap_weights'] == 0).sum() <= 29


def test_a_small_person_does_not_hide_a_large_one():
    codec = HierarchicalSPRCodec(**SMALL, min_diagonal=20)
    keypoints = make_poses(2, 17, codec.input_size, spread=20)
    root = keypoints[1].mean(axis=0)
    keypoints[0] = root + [8, 0]  # two cells beside it
    weights = codec.encode(keypoints)['heatmap_weights'][0]
    x, y = np.rint(root / 4).astype(int)
    assert weights[y, x] == weights[y, x + 2] == 1
    assert weights[y, x + 4] == 0


def test_background_weight():
    codec = HierarchicalSPRCodec(**SMALL, background_weight=0.1)
    encoded = codec.encode(make_poses(1, 17, codec.input_size))
    foreground = encoded['heatmaps'] > 0.01
    np.testing.assert_array_equal(
        encoded['heatmap_weights'], np.where(foreground, 1, np.float32(0.1))
    )


def test_outside_joints_can_be_ignored():
    keypoints = make_poses(1, 17, (96, 80), spread=10)
    keypoints[0, 9] = (-30, 40)
    kept = HierarchicalSPRCodec(**SMALL).encode(keypoints)
    ignored = HierarchicalSPRCodec(**SMALL, ignore_outside=True).encode(
        keypoints
    )
    assert kept['displacement_weights'][18].any()
    assert not ignored['displacement_weights'][18].any()
    visible = np.ones((1, 17))
    visible[0, 9] = 0
    expected = HierarchicalSPRCodec(**SMALL).encode(keypoints, visible)
    np.testing.assert_array_equal(ignored['heatmaps'], expected['heatmaps'])


def test_missing_coordinates_count_as_not_labelled():
    codec = HierarchicalSPRCodec(**SMALL)
    keypoints = make_poses(2, 17, codec.input_size)
    visible = np.ones((2, 17))
    visible[0, 3] = 0
    expected = codec.encode(keypoints, visible)
    keypoints[0, 3] = np.nan
    with_nan = codec.encode(keypoints)
    for key in expected:
        np.testing.assert_array_equal(with_nan[key], expected[key])


# ---- there and back


@pytest.mark.parametrize('location', ['root', 'parent'])
@pytest.mark.parametrize('kinematics', TREES, ids=str)
def test_round_trip_is_exact_from_any_cell_of_the_window(kinematics, location):
    num_joints = build_kinematic_tree(kinematics).num_joints
    codec = HierarchicalSPRCodec(
        (512, 384),
        (128, 96),
        kinematics=kinematics,
        displacement_location=location,
        decode_max_instances=1,
    )
    keypoints = make_poses(1, num_joints, codec.input_size, 3, spread=80)
    keypoints = keypoints.clip(0, (510, 382))
    encoded = codec.encode(keypoints)
    weights = encoded['displacement_weights']
    level_two = 2 * codec.tree.joints_by_level[0][0]
    cells = np.argwhere(weights[level_two] > 0)[:, ::-1]
    assert len(cells) > 140
    for cell in cells[::7]:
        decoded = decode_from(codec, encoded, cell)
        np.testing.assert_allclose(decoded, keypoints, atol=1e-3)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_round_trip_property(data):
    """Any number of people, any joints missing, anywhere: what is decoded
    at a person's root is that person."""
    kinematics = data.draw(st.sampled_from(TREES))
    tree = build_kinematic_tree(kinematics)
    codec = HierarchicalSPRCodec(
        (160, 128),
        (40, 32),
        kinematics=kinematics,
        sigma=data.draw(st.floats(1, 7)),
        tau=data.draw(st.floats(0.75, 7)),
        overlap='nearest',
        missing_parent='skip',
        root_type=data.draw(st.sampled_from(['kpt_center', 'bbox_center'])),
    )
    num_persons = data.draw(st.integers(0, 4))
    seed = data.draw(st.integers(0, 2**31 - 1))
    keypoints = make_poses(
        num_persons, tree.num_joints, codec.input_size, seed, spread=60
    )
    rng = np.random.RandomState(seed)
    visible = rng.rand(num_persons, tree.num_joints) > 0.2
    encoded = codec.encode(keypoints, visible.astype(np.float32))
    assert np.isfinite(encoded['displacements']).all()
    assert 0 <= encoded['heatmaps'].min() <= encoded['heatmaps'].max() <= 1
    displacements = torch.from_numpy(encoded['displacements'])
    heatmaps = torch.from_numpy(encoded['heatmaps'])
    decoded, (root_scores, keypoint_scores) = codec.decode(
        heatmaps, displacements
    )
    count = len(decoded)
    assert root_scores.shape == (count,)
    assert keypoint_scores.shape == (count, tree.num_joints)
    assert (root_scores > codec.decode_thr).all()
    assert (root_scores.diff() <= 0).all()

    ancestors = tree.ancestor_matrix > 0
    weights = encoded['displacement_weights'][::2]
    for cell in np.argwhere(weights.any(axis=0))[::23, ::-1]:
        decoded = decode_from(codec, encoded, cell)[0]
        covered = weights[:, cell[1], cell[0]] > 0
        whole_path = [covered[path].all() for path in ancestors]
        errors = np.abs(keypoints - decoded).max(axis=-1)[:, whole_path]
        # all joints whose path is labelled are one and the same person's
        assert errors.size == 0 or errors.max(axis=1).min() < 1e-3


def test_peaks_give_back_all_persons():
    codec = HierarchicalSPRCodec((512, 512), (128, 128))
    centers = np.mgrid[80:500:110, 80:500:110].reshape(2, -1).T[:, None]
    keypoints = make_poses(16, 17, (512, 512), 1, 40)
    keypoints += centers - keypoints.mean(axis=1, keepdims=True)
    encoded = codec.encode(keypoints)
    decoded, (root_scores, keypoint_scores) = codec.decode(
        torch.from_numpy(encoded['heatmaps']),
        torch.from_numpy(encoded['displacements']),
    )
    assert len(decoded) == 16
    distance = np.abs(decoded[:, None].numpy() - keypoints).max(axis=(2, 3))
    assert sorted(distance.argmin(axis=1)) == list(range(16))
    assert distance.min(axis=1).max() < 1e-3
    assert torch.equal(keypoint_scores, root_scores[:, None].expand(-1, 17))


def test_maps_of_another_size_decode_with_the_same_stride():
    codec = HierarchicalSPRCodec((128, 128), (32, 32), sigma=3, tau=3)
    large = HierarchicalSPRCodec(
        (256, 192), (64, 48), sigma=3, tau=3, normalizer=codec.normalizer
    )
    keypoints = make_poses(1, 17, (256, 192), 5, 30)
    encoded = large.encode(keypoints)
    decoded, _ = codec.decode(
        torch.from_numpy(encoded['heatmaps']),
        torch.from_numpy(encoded['displacements']),
    )
    np.testing.assert_allclose(decoded, keypoints, atol=1e-3)


def test_batch_equals_single_and_counts_differ():
    codec = HierarchicalSPRCodec(
        **SMALL, generate_keypoint_heatmaps=True, overlap='nearest'
    )
    encoded = [
        codec.encode(make_poses(n, 17, codec.input_size, n)) for n in range(4)
    ]
    heatmaps = torch.tensor(np.stack([e['heatmaps'] for e in encoded]))
    displacements = torch.tensor(
        np.stack([e['displacements'] for e in encoded])
    )
    keypoints, (root_scores, keypoint_scores) = codec.batch_decode(
        heatmaps, displacements
    )
    counts = [len(k) for k in keypoints]
    assert counts[0] == 0 and len(set(counts)) > 1
    for i in range(4):
        single, (roots, scores) = codec.decode(heatmaps[i], displacements[i])
        assert torch.equal(single, keypoints[i])
        assert torch.equal(roots, root_scores[i])
        assert torch.equal(scores, keypoint_scores[i])
    assert keypoints[0].shape == (0, 17, 2)


def test_decode_options():
    heatmaps = torch.zeros(1, 16, 16)
    heatmaps[0, 4, 4], heatmaps[0, 4, 6], heatmaps[0, 12, 12] = 0.9, 0.8, 0.3
    displacements = torch.zeros(2, 16, 16)

    def scores(**options):
        codec = HierarchicalSPRCodec(
            (64, 64), (16, 16), kinematics=[-1], **options
        )
        keypoints, (root_scores, _) = codec.decode(heatmaps, displacements)
        return [round(s, 4) for s in root_scores.tolist()], keypoints

    found, keypoints = scores()
    assert found == [0.9, 0.3]
    assert keypoints[:, 0].tolist() == [[16, 16], [48, 48]]
    assert scores(decode_nms_kernel=3)[0] == [0.9, 0.8, 0.3]
    assert scores(decode_thr=0.5)[0] == [0.9]
    assert scores(decode_max_instances=1)[0] == [0.9]


def test_keypoint_scores_are_read_at_the_joints():
    codec = HierarchicalSPRCodec(
        (64, 64),
        (16, 16),
        kinematics=[-1, -1],
        normalizer=None,
        generate_keypoint_heatmaps=True,
    )
    heatmaps = torch.zeros(3, 16, 16)
    heatmaps[2, 8, 8] = 0.7
    heatmaps[0, 3, 5], heatmaps[0, 3, 6] = 0.4, 0.8
    heatmaps[1, 15, 15] = 0.6
    displacements = torch.zeros(4, 16, 16)
    displacements[:, 8, 8] = torch.tensor([-2.75, -5, 20, 7])
    keypoints, (roots, scores) = codec.decode(heatmaps, displacements)
    assert keypoints[0].tolist() == [[21, 12], [112, 60]]
    # a quarter of the way between two cells; beyond the border, its value
    np.testing.assert_allclose(scores[0], [0.5, 0.6], atol=1e-5)
    assert roots.tolist() == pytest.approx([0.7])


@pytest.mark.parametrize('location', ['root', 'parent'])
def test_snapping_a_parent_puts_its_child_right(location):
    """Around parents: a child is read where its parent's peak is."""
    codec = HierarchicalSPRCodec(
        (128, 128),
        (32, 32),
        kinematics=[-1, 0, -1],
        tau=2,
        displacement_location=location,
        generate_keypoint_heatmaps=True,
        keypoint_sigma=1.5,
    )
    # root at cell (12, 13), joints at cells (8, 8), (16, 10) and (12, 21)
    pose = np.array([[[32.0, 32.0], [64.0, 40.0], [48.0, 84.0]]])
    encoded = codec.encode(pose)
    heatmaps = torch.from_numpy(encoded['heatmaps'])[None]
    heatmaps[:, 1] = 0  # the child has no peak of its own
    displacements = torch.from_numpy(encoded['displacements'])[None]
    displacements[:, 0] += 3 / codec.normalizer  # its parent: 3 cells right
    off = codec.decode_padded(heatmaps, displacements)
    snapped = codec.decode_padded(heatmaps, displacements, 0.1, 0.5)
    assert off.keypoints[0, 0, 0].tolist() == pytest.approx([44, 32])
    assert snapped.keypoints[0, 0, 0].tolist() == pytest.approx([32, 32])
    child = snapped.keypoints[0, 0, 1].tolist()
    if location == 'parent':
        assert child == pytest.approx(pose[0, 1])
        # 3 cells off the parent is outside of the window, where nothing is
        assert off.keypoints[0, 0, 1].tolist() == pytest.approx([44, 32])
    else:
        assert child == off.keypoints[0, 0, 1].tolist()
        assert child == pytest.approx([76, 40])


# ---- bad input


def test_no_people():
    codec = HierarchicalSPRCodec(
        **SMALL, generate_keypoint_heatmaps=True, generate_joint_offsets=True
    )
    encoded = codec.encode(np.zeros((0, 17, 2)), np.zeros((0, 17)))
    assert encoded['heatmaps'].shape == (18, 20, 24)
    for key in encoded:
        expected = 1 if key == 'heatmap_weights' else 0
        assert (encoded[key] == expected).all(), key
    keypoints, (roots, scores) = codec.decode(
        torch.tensor(encoded['heatmaps']),
        torch.tensor(encoded['displacements']),
    )
    assert keypoints.shape == (0, 17, 2)
    assert roots.shape == (0,) and scores.shape == (0, 17)


@pytest.mark.parametrize('overlap', ['mean', 'nearest', 'smaller'])
def test_two_people_on_the_same_root(overlap):
    codec = HierarchicalSPRCodec(**SMALL, overlap=overlap)
    keypoints = make_poses(2, 17, codec.input_size, 2, spread=15)
    keypoints[1] = keypoints[0].mean(axis=0) + 1.5 * (
        keypoints[0].mean(axis=0) - keypoints[0]
    )
    encoded = codec.encode(keypoints)
    decoded, _ = codec.decode(
        torch.tensor(encoded['heatmaps']),
        torch.tensor(encoded['displacements']),
    )
    expected = keypoints.mean(axis=0) if overlap == 'mean' else keypoints[0]
    assert len(decoded) == 1
    np.testing.assert_allclose(decoded[0], expected, atol=1e-3)


@pytest.mark.parametrize('joint', [0, 9])
def test_one_joint_left(joint):
    codec = HierarchicalSPRCodec(**SMALL)
    visible = np.zeros((1, 17))
    visible[0, joint] = 1
    keypoints = make_poses(1, 17, codec.input_size)
    encoded = codec.encode(keypoints, visible)
    x, y = np.rint(keypoints[0, joint] / 4).astype(int)
    assert np.unravel_index(encoded['heatmaps'][0].argmax(), (20, 24)) == (
        y,
        x,
    )
    # a wrist without its elbow cannot be reached along the tree
    covered = encoded['displacement_weights'].any(axis=(1, 2))
    assert covered.sum() == (2 if joint == 0 else 0)
    ancestor = HierarchicalSPRCodec(**SMALL, missing_parent='ancestor')
    covered = ancestor.encode(keypoints, visible)['displacement_weights']
    assert covered.any(axis=(1, 2)).nonzero()[0].tolist() == [
        2 * joint,
        2 * joint + 1,
    ]


def test_roots_outside_the_map():
    codec = HierarchicalSPRCodec(**SMALL)
    keypoints = make_poses(3, 17, codec.input_size, 0, 5)
    keypoints += np.array([[-6, 40], [1000, 40], [1e12, -1e12]])[
        :, None
    ] - keypoints.mean(axis=1, keepdims=True)
    encoded = codec.encode(keypoints)
    expected = brute_force_spr.encode(codec, keypoints, np.ones((3, 17)))
    for key, value in expected.items():
        np.testing.assert_allclose(
            encoded[key], value, rtol=1e-6, atol=1e-6, err_msg=key
        )
    assert encoded['displacement_weights'].any()


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('channel', ['heatmaps', 'displacements'])
def test_output_that_is_not_finite_yields_no_pose(bad, channel):
    codec = HierarchicalSPRCodec(**SMALL)
    encoded = codec.encode(make_poses(2, 17, codec.input_size))
    maps = {
        key: torch.tensor(encoded[key])[None].repeat(2, 1, 1, 1)
        for key in ('heatmaps', 'displacements')
    }
    maps[channel][1, 0, 0, 0] = bad
    with pytest.warns(RuntimeWarning, match=r'images \[1\]'):
        keypoints, (roots, _) = codec.batch_decode(**maps)
    assert len(keypoints[0]) > 0 and len(keypoints[1]) == 0
    assert torch.isfinite(keypoints[0]).all()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(overlap='max'), "overlap must be one of 'mean'"),
        (dict(unit='pixel'), 'unit must be'),
        (dict(gaussian='x'), 'gaussian must be'),
        (dict(window='round'), 'window must be'),
        (dict(displacement_location='joint'), 'displacement_location'),
        (dict(missing_parent='zero'), 'missing_parent'),
        (dict(root_type='centroid'), "unknown joint 'centroid'"),
        (dict(root_type=17), 'root_type=17'),
        (dict(kinematics=[-1] * 3, root_type='pelvis'), 'joint_names'),
        (dict(normalizer=0), 'normalizer'),
        (dict(normalizer='image'), 'normalizer'),
        (dict(sigma=0), 'sigma must be positive'),
        (dict(tau=0.5), 'half the diagonal'),
        (dict(tau=2, unit='input'), 'half the diagonal'),
        (dict(decode_nms_kernel=4), 'odd'),
        (dict(decode_thr=-0.1), 'decode_thr must not be negative'),
        (
            dict(displacement_location='parent', generate_joint_offsets=True),
            "displacement_location='root'",
        ),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        HierarchicalSPRCodec(**(SMALL | options))


def test_bad_shapes():
    codec = HierarchicalSPRCodec(**SMALL)
    with pytest.raises(ValueError, match=r'\(N, 17, 2\)'):
        codec.encode(np.zeros((1, 14, 2)))
    with pytest.raises(ValueError, match='1 or 18 and 34 channels'):
        codec.decode(torch.zeros(1, 20, 24), torch.zeros(28, 20, 24))
    with pytest.raises(ValueError, match='same height and width'):
        codec.decode(torch.zeros(1, 20, 24), torch.zeros(34, 20, 20))


# ---- the rest of the contract


def test_registered_and_maps_the_mask():
    codec = KEYPOINT_CODECS.build(dict(type='HierarchicalSPRCodec', **SMALL))
    assert codec.support_batch_decoding
    assert codec.field_mapping_table['heatmap_mask'] == 'heatmap_mask'
    assert set(codec.encode(np.zeros((0, 17, 2)))) <= set(
        codec.field_mapping_table
    )


def test_starts_from_cell():
    codec = HierarchicalSPRCodec(**SMALL)
    assert np.flatnonzero(codec.starts_from_cell).tolist() == [0, 5, 6, 11, 12]
    flat = HierarchicalSPRCodec(**SMALL, kinematics='coco-flat')
    parent = HierarchicalSPRCodec(**SMALL, displacement_location='parent')
    assert all(flat.starts_from_cell) and all(parent.starts_from_cell)


def test_decoding_stays_in_float32_under_autocast():
    codec = HierarchicalSPRCodec((512, 512), (128, 128))
    encoded = codec.encode(make_poses(1, 17, (512, 512), 4, 100))
    heatmaps = torch.tensor(encoded['heatmaps'])
    displacements = torch.tensor(encoded['displacements'])
    expected, _ = codec.decode(heatmaps, displacements)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        decoded, _ = codec.decode(heatmaps, displacements)
    assert torch.equal(decoded, expected)


def test_padded_decoding_traces():
    """No shape depends on values, so the decoder exports as a graph."""
    codec = HierarchicalSPRCodec(**SMALL)
    encoded = codec.encode(make_poses(2, 17, codec.input_size))
    args = tuple(
        torch.tensor(encoded[key])[None]
        for key in ('heatmaps', 'displacements')
    )

    class Decoder(torch.nn.Module):
        def forward(self, heatmaps, displacements):
            return tuple(codec.decode_padded(heatmaps, displacements))

    program = torch.export.export(Decoder(), args)
    for got, want in zip(
        program.module()(*args), Decoder()(*args), strict=True
    ):
        assert torch.equal(got, want)
