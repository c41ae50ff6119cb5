import brute_force_spr
import numpy as np
import pytest
import torch
from spr_poses import make_poses

from rmpe_spm.spm.codec import HierarchicalSPRCodec

SMALL = dict(input_size=(96, 80), heatmap_size=(24, 20), sigma=4, tau=3)


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


def test_bad_shapes():
    codec = HierarchicalSPRCodec(**SMALL)
    with pytest.raises(ValueError, match=r'\(N, 17, 2\)'):
        codec.encode(np.zeros((1, 14, 2)))
    with pytest.raises(ValueError, match='1 or 18 and 34 channels'):
        codec.decode(torch.zeros(1, 20, 24), torch.zeros(28, 20, 24))
    with pytest.raises(ValueError, match='same height and width'):
        codec.decode(torch.zeros(1, 20, 24), torch.zeros(34, 20, 20))
