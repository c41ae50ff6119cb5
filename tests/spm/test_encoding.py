import brute_force_spr
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spm_maps import SMALL
from spm_maps import scattered_poses as make_poses

from rmpe_spm.spm.codec import HierarchicalSPRCodec
from rmpe_spm.spm.decoding import accumulate
from rmpe_spm.spm.kinematics import NAMED_TREES

PARENT = dict(displacement_location='parent')


def assert_agrees_with_brute_force(codec, keypoints, visible):
    encoded = codec.encode(keypoints, visible.astype(np.float32))
    expected = brute_force_spr.encode(codec, keypoints, visible)
    for key, value in expected.items():
        assert encoded[key].shape == value.shape
        assert encoded[key].dtype == np.float32
        # displacements in cells are up to 20 with normalizer=None
        atol = 1e-6 * max(1, np.abs(value).max(initial=0))
        np.testing.assert_allclose(
            encoded[key], value, rtol=1e-6, atol=atol, err_msg=key
        )
    return encoded


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_encode_property(data):
    """Any tree, stride and options, anywhere, as from the definitions."""

    def draw(*choices):
        return data.draw(st.sampled_from(choices))

    kinematics = draw(*NAMED_TREES, [-1], [1, 2, 3, -1], [2, -1, -1])
    named = isinstance(kinematics, str)
    roots = 'kpt_center', 'bbox_center', 0
    unit = draw('cells', 'input')
    stride = draw((4, 4), (2, 2), (4, 2), (1, 3))
    scale = 1 if unit == 'cells' else max(stride)
    codec = HierarchicalSPRCodec(
        (12 * stride[0], 10 * stride[1]),
        (12, 10),
        kinematics=kinematics,
        unit=unit,
        sigma=scale * data.draw(st.floats(0.5, 7)),
        tau=scale * data.draw(st.floats(0.75, 7)),
        keypoint_sigma=scale * data.draw(st.floats(0.5, 4)),
        generate_keypoint_heatmaps=(heatmaps := draw(False, True)),
        generate_keypoint_offsets=heatmaps and draw(False, True),
        root_type=draw(*roots, *['pelvis', 'left_hip'] * named),
        normalizer=draw('diagonal', 3.5, None),
        overlap=draw('mean', 'nearest', 'smaller'),
        displacement_location=draw('root', 'parent'),
        missing_parent=draw('skip', 'ancestor'),
    )
    num_persons = data.draw(st.integers(0, 3))
    seed = data.draw(st.integers(0, 2**31 - 1))
    num_joints = codec.tree.num_joints
    keypoints = make_poses(num_persons, num_joints, codec.input_size, seed)
    if num_persons and draw(False, True):  # roots on one another
        keypoints += keypoints[0].mean(0) - keypoints.mean(1, keepdims=True)
    visible = np.random.RandomState(seed).rand(*keypoints.shape[:2]) > 0.3
    encoded = assert_agrees_with_brute_force(codec, keypoints, visible)
    # coordinates that are missing count as not labelled
    keypoints[~visible] = np.nan
    for key, value in codec.encode(keypoints).items():
        np.testing.assert_array_equal(value, encoded[key])


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


@pytest.mark.parametrize('count', [0, 4])
def test_joint_offsets_are_flat_accumulated_and_need_no_parent(count):
    flat = HierarchicalSPRCodec(**SMALL, kinematics='coco-flat')
    tree = HierarchicalSPRCodec(**SMALL, generate_joint_offsets=True)
    keypoints = make_poses(count, 17, flat.input_size)
    encoded = tree.encode(keypoints)
    assert set(encoded) < set(tree.field_mapping_table)
    offsets = encoded['joint_offsets']
    expected = flat.encode(keypoints)['displacements']
    np.testing.assert_array_equal(offsets, expected)
    displacements = torch.tensor(encoded['displacements'])[None]
    summed = accumulate(displacements, tree.tree)
    np.testing.assert_allclose(summed[0], offsets, atol=1e-5)
    # without its shoulder the elbow has no place in the tree
    encoded = tree.encode(keypoints, np.arange(17) != np.full((count, 1), 5))
    assert not encoded['displacement_weights'][2 * 7].any()
    assert encoded['joint_offset_weights'][2 * 7].any() == (count > 0)
    assert not encoded['joint_offset_weights'][2 * 5].any()


def test_background_weight():
    codec = HierarchicalSPRCodec(**SMALL, background_weight=0.1)
    encoded = codec.encode(make_poses(1, 17, codec.input_size))
    foreground = encoded['heatmaps'] > 0.01
    np.testing.assert_array_equal(
        encoded['heatmap_weights'], np.where(foreground, 1, np.float32(0.1))
    )


def test_roots_outside_the_map():
    codec = HierarchicalSPRCodec(**SMALL)
    keypoints = make_poses(3, 17, codec.input_size, 0, 5)
    keypoints -= keypoints.mean(axis=1, keepdims=True)
    keypoints += np.array([[[-6, 40]], [[1000, 40]], [[1e12, -1e12]]])
    visible = np.ones((3, 17), bool)
    encoded = assert_agrees_with_brute_force(codec, keypoints, visible)
    assert encoded['displacement_weights'].any()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(overlap='max'), "overlap must be one of 'mean'"),
        (dict(unit='pixel'), 'unit must be'),
        (dict(displacement_location='joint'), 'displacement_location'),
        (dict(missing_parent='zero'), 'missing_parent'),
        (dict(root_type='centroid'), "unknown joint 'centroid'"),
        (dict(root_type=17), 'root_type=17'),
        (dict(root_type=-1), 'root_type=-1'),
        (dict(kinematics=[-1] * 3, root_type='pelvis'), "'mid_hip'.*names"),
        (dict(normalizer=0), 'normalizer'),
        (dict(normalizer='image'), 'normalizer'),
        (dict(sigma=0), 'sigma .* must be positive'),
        (dict(tau=0.5), 'half the diagonal'),
        (dict(tau=2, unit='input'), 'half the diagonal'),
        (dict(decode_nms_kernel=4), 'odd'),
        (dict(generate_keypoint_offsets=True), 'generate_keypoint_heatmaps'),
        (PARENT | dict(generate_joint_offsets=True), "location='root'"),
    ],
)
def test_options_that_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        HierarchicalSPRCodec(**(SMALL | options))


@pytest.mark.parametrize(
    ('normalizer', 'expected'),
    [('diagonal', 5.0), (None, 1.0), (7, 7.0), (0.5, 0.5)],
)
def test_normalizers(normalizer, expected):
    codec = HierarchicalSPRCodec((12, 16), (3, 4), normalizer=normalizer)
    assert codec.normalizer == expected


def test_peaks_are_cut_to_zero():
    codec = HierarchicalSPRCodec((64, 64), (64, 64), [-1], sigma=1)
    heatmap = codec.encode(np.zeros((1, 1, 2)))['heatmaps'][0]
    assert heatmap[0, 0] == 1 and heatmap[0, 4] == np.float32(np.exp(-16))
    assert not heatmap[5:].any() and not heatmap[:, 5:].any()
