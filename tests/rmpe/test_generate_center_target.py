"""The centre-located target, by hand and against the main target."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmpose.registry import KEYPOINT_CODECS, TRANSFORMS

from rmpe_spm.rmpe.spatial_transformer import transform_points
from rmpe_spm.rmpe.theta import normalized_to_pixel_theta

SIZE = (48, 64)
MAPS = dict(input_size=SIZE, heatmap_size=(12, 16))
CODECS = {
    'msra': dict(MAPS, type='MSRAHeatmap', sigma=1),
    'udp': dict(MAPS, type='UDPHeatmap', sigma=1),
    'simcc': dict(type='SimCCLabel', input_size=SIZE, sigma=4.0),
    'regression': dict(type='RegressionLabel', input_size=SIZE),
    # as MSPN and RSN have them
    'levels': [
        dict(MAPS, type='MegviiHeatmap', kernel_size=k) for k in (5, 3)
    ],
}
FLAT = [name for name in CODECS if name != 'levels']
ROTATE = dict(
    type='RandomBBoxTransform', shift_prob=0, scale_prob=0, rotate_prob=1.0
)


def sample(clean=(30, 20, 78, 84), proposal=None, keypoints=((54, 52),)):
    """A person in an image of 200x150 with a clean box and a proposal."""
    keypoints = np.array(keypoints, dtype=np.float32)[None]
    proposal = clean if proposal is None else proposal
    return dict(
        img=np.zeros((150, 200, 3), dtype=np.uint8),
        img_shape=(150, 200),
        img_path='an image',
        bbox=np.array([proposal], dtype=np.float32),
        clean_bbox=np.array([clean], dtype=np.float32),
        keypoints=keypoints,
        keypoints_visible=np.ones(keypoints.shape[:2], dtype=np.float32),
        flip_indices=list(range(keypoints.shape[1])),
    )


def run(results, codec='msra', padding=1.0, extra=(), pack=False, seed=0):
    """Run a top-down pipeline with both targets."""
    np.random.seed(seed)  # noqa: NPY002 (mmpose's transforms use it)
    crop = dict(use_udp=codec == 'udp')
    target = dict(encoder=CODECS[codec], multilevel=codec == 'levels')
    pipeline = [
        dict(type='GetBBoxCenterScale', padding=padding),
        *extra,
        dict(type='TopdownAffine', input_size=SIZE, **crop),
        dict(type='GenerateTarget', **target),
        dict(type='GenerateCenterTarget', padding=padding, **target, **crop),
    ]
    if pack:
        pipeline.append(dict(type='PackPoseInputs'))
    results = Compose([TRANSFORMS.build(t) for t in pipeline])(
        deepcopy(results)
    )
    return results['data_samples'] if pack else results


def test_theta_by_hand():
    # UDP: a frame spans the pixel centres. The clean frame lies 16 of 48 left
    # and 8 of 64 above the proposal's, in halves of its sides.
    out = run(sample(proposal=(46, 28, 94, 92)), 'udp')
    expected = [[[1, 0, -16 / 24], [0, 1, -8 / 32]]]
    np.testing.assert_allclose(out['center_theta'], expected, atol=1e-6)
    # A proposal of twice the size about the same centre.
    out = run(sample(proposal=(6, -12, 102, 116)), 'udp')
    expected = [[[0.5, 0, 0], [0, 0.5, 0]]]
    np.testing.assert_allclose(out['center_theta'], expected, atol=1e-6)
    assert out['center_theta'].dtype == np.float32


@pytest.mark.parametrize('codec', FLAT)
@pytest.mark.parametrize('direction', ['horizontal', 'vertical', 'diagonal'])
@pytest.mark.parametrize('seed', range(4))
def test_equals_the_main_target_where_the_proposal_is_clean(
    codec, direction, seed
):
    """Also flipped and rotated, and with joints outside the frame."""
    rng = np.random.default_rng(seed)
    box = np.array([40.0, 30, 90, 110]) + rng.uniform(-9, 9, 4)
    results = sample(clean=box, keypoints=rng.uniform(0, 150, (9, 2)))
    flip = dict(type='RandomFlip', direction=direction, prob=0.5)
    out = run(results, codec, padding=1.25, extra=[flip, ROTATE], seed=seed)
    assert out['bbox_rotation'][0] != 0
    np.testing.assert_allclose(
        out['center_keypoints'], out['transformed_keypoints'], atol=1e-4
    )
    identity = [[[1, 0, 0], [0, 1, 0]]]
    np.testing.assert_allclose(out['center_theta'], identity, atol=1e-6)
    others = {'center_theta', 'center_keypoints'}
    compared = {key for key in out if key.startswith('center_')} - others
    assert len(compared) == {'simcc': 3}.get(codec, 2)
    for key in compared:
        np.testing.assert_array_equal(out[key], out[key[7:]])


def test_joints_outside_the_centre_frame_get_no_weight():
    boxes = (100, 60, 148, 124), (30, 20, 78, 84)
    results = sample(*boxes, [(54, 52), (120, 90)])
    for codec in FLAT:
        out = run(results, codec)
        assert out['keypoint_weights'].tolist() == [[1, 0]]
        assert out['center_keypoint_weights'].tolist() == [[0, 1]]


def test_invisible_joints_keep_no_weight():
    results = sample(keypoints=[(54, 52), (60, 60)])
    results['keypoints_visible'][0, 1] = 0
    out = run(results)
    assert out['center_keypoint_weights'].tolist() == [[1, 0]]
    assert out['center_heatmaps'][1].max() == 0


@pytest.mark.parametrize('codec', CODECS)
def test_packed_beside_the_main_target(codec):
    packed = run(sample(proposal=(46, 28, 94, 92)), codec, pack=True)
    labels = packed.gt_instance_labels
    levels = 2 if codec == 'levels' else 1
    assert len(labels.center_keypoint_weights) == levels
    assert len(labels.keypoint_weights) == levels
    assert labels.center_theta.shape == (levels, 2, 3)
    # (54, 52) - (30, 20), but for UDP's pixels
    expected = [23.5, 31.5] if codec == 'udp' else [24, 32]
    for joints in labels.center_keypoints:
        np.testing.assert_allclose(joints, [expected], atol=1e-4)
    shift = -16 / (24 if codec == 'udp' else 23.5)
    np.testing.assert_allclose(labels.center_theta[:, 0, 2], shift, atol=1e-6)
    if codec in ('msra', 'udp'):
        fields = packed.gt_fields
        assert fields.center_heatmaps.shape == fields.heatmaps.shape
        assert not (fields.center_heatmaps == fields.heatmaps).all()
    elif codec == 'levels':
        assert 'center_heatmaps' in packed.gt_fields
    # the tables of the codec's class are as they were
    for config in CODECS[codec] if codec == 'levels' else [CODECS[codec]]:
        made = KEYPOINT_CODECS.build(config)
        tables = {**made.label_mapping_table, **made.field_mapping_table}
        assert not any(key.startswith('center_') for key in tables)


@pytest.mark.parametrize(
    ('key', 'maker'),
    [
        ('clean_bbox', 'PGPGTransform'),
        ('input_size', 'TopdownAffine'),
        ('label_mapping_table', 'GenerateTarget'),
    ],
)
def test_missing_keys_are_explained(key, maker):
    results = run(sample())
    del results[key]
    transform = TRANSFORMS.build(
        dict(type='GenerateCenterTarget', encoder=CODECS['msra'])
    )
    with pytest.raises(KeyError, match=f'{key}.*{maker}.*an image'):
        transform(results)


@pytest.mark.parametrize('codec', ['msra', 'udp'])
def test_one_theta_leads_from_the_centre_frame_to_the_crop(codec):
    """It is a scale and a shift in normalised units, also when rotated."""
    clean, proposal = (40.0, 30, 90, 110), (52.0, 35, 101, 100)
    rng = np.random.default_rng(0)
    results = sample(clean, proposal, rng.uniform((45, 35), (85, 105), (5, 2)))
    out = run(results, codec, padding=1.25, extra=[ROTATE])
    assert out['bbox_rotation'][0] != 0
    # The joints of the clean frame, moved by theta, are those of the crop.
    given = torch.from_numpy(out['center_theta'])
    joints = torch.from_numpy(out['center_keypoints'])
    moved = transform_points(normalized_to_pixel_theta(given, SIZE), joints)
    np.testing.assert_allclose(moved, out['transformed_keypoints'], atol=1e-3)
    np.testing.assert_allclose(
        given[0, [0, 1], [1, 0]], 0, atol=1e-5 if codec == 'udp' else 0.02
    )
