"""Joints read off a head's outputs, theta from them, and the localizers."""

from copy import deepcopy

import numpy as np
import pytest
import tiny_rmpe as tiny
import torch
from mmengine.config import Config
from mmpose.registry import KEYPOINT_CODECS, MODELS
from torch.autograd import gradcheck

from rmpe_spm.rmpe.localizers import pose_theta
from rmpe_spm.rmpe.sdtn import CropFrame, joint_locations, soft_argmax
from rmpe_spm.rmpe.spatial_transformer import transform_points

HRNET = 'configs/rmpe/coco/rmpe_hrnet-w32_8xb64-30e_coco-256x192.py'
CODECS = {
    'msra': dict(tiny.CODECS['heatmap'], unbiased=True),
    'udp': tiny.CODECS['udp'],
    'combined': dict(tiny.CODECS['combined'], radius_factor=0.15),
    'megvii': dict(
        type='MegviiHeatmap',
        input_size=tiny.SIZE,
        heatmap_size=tiny.MAP,
        kernel_size=5,
    ),
    'simcc': tiny.CODECS['simcc'],
    'regression': tiny.CODECS['RegressionHead'],
}
KEYS = dict(
    simcc=('keypoint_x_labels', 'keypoint_y_labels'),
    regression=('keypoint_labels',),
)


@pytest.mark.parametrize('name', CODECS)
def test_what_a_codec_encodes_is_found(name):
    codec = KEYPOINT_CODECS.build(CODECS[name])
    keypoints = np.array([[[20.0, 30], [14.2, 41.9]]], dtype=np.float32)
    encoded = codec.encode(keypoints, np.ones((1, 2), dtype=np.float32))
    keys = KEYS.get(name, ('heatmaps',))
    outputs = tuple(torch.from_numpy(encoded[key]) for key in keys)
    outputs = outputs if len(outputs) == 2 else outputs[0]
    if name not in KEYS:
        outputs = [outputs[None] * 0, outputs[None] * 0.5]  # two stages
    frame = CropFrame.of_decoder(codec)
    xy, confidence = joint_locations(outputs, frame)
    # Cells are 4 pixels wide; a disc, and Megvii's blurred peak, are coarse.
    atol = {'combined': 2.0, 'megvii': 2.1, 'msra': 0.2, 'udp': 0.2}
    np.testing.assert_allclose(xy, keypoints, atol=atol.get(name, 0.5))
    expected = {'simcc': confidence, 'regression': 1.0, 'megvii': confidence}
    np.testing.assert_allclose(confidence, expected.get(name, 0.5), atol=0.05)
    assert confidence.min() >= 0 and confidence.max() <= 1


def test_nothing_is_found_in_the_middle():
    cells, confidence = soft_argmax(torch.full((1, 2, 5, 9), -1.0))
    assert cells.tolist() == [[[4, 2], [4, 2]]]
    assert confidence.tolist() == [[0, 0]]


def test_gradient_of_the_soft_argmax():
    torch.manual_seed(0)
    maps = torch.rand(1, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    assert gradcheck(soft_argmax, maps)


# No gate: any joints suffice, and no correction is too small.
OPEN = dict(padding=1.6, min_confidence=0.2, min_joints=-99.0, dead_zone=0.0)
GATED = dict(padding=1.6, min_confidence=0.2, min_joints=5.0, dead_zone=0.2)
EYE = torch.eye(2, 3)


def people(count=3, seed=0):
    """Joints that a frame of padding 1.6 about them centres."""
    torch.manual_seed(seed)
    xy = (torch.rand(count, 17, 2, dtype=torch.float64) * 2 - 1) / 1.6
    xy[:, 0], xy[:, 1] = 1 / 1.6, -1 / 1.6
    return xy, torch.full((count, 17), 0.9, dtype=torch.float64)


def test_by_hand():
    xy = torch.tensor([[[0.1, -0.4], [0.5, 0.6], [0.3, 0.0]]])
    theta = pose_theta(xy, torch.ones(1, 3), **OPEN)
    # spans 0.4 and 1.0 about (0.3, 0.1); 1.6 * 1.0 / 2 = 0.8
    expected = torch.tensor([[[0.8, 0.0, 0.3], [0.0, 0.8, 0.1]]])
    torch.testing.assert_close(theta, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize('scale, x, y', [(1.5, 0.3, -0.5), (0.6, -0.8, 0.1)])
def test_there_and_back(scale, x, y):
    """The frame that moves well-framed joints is the one found for them."""
    xy, confidence = people()
    theta = torch.tensor([[[scale, 0, x], [0, scale, y]]]).double()
    theta = theta.expand(3, 2, 3)
    moved = transform_points(theta, xy)
    found = pose_theta(moved, confidence, **OPEN)
    torch.testing.assert_close(found, theta, rtol=0, atol=1e-5)
    # A correction as large is hardly smaller behind the gate
    gated = pose_theta(moved, confidence, **GATED)
    torch.testing.assert_close(gated, theta, rtol=0, atol=0.12)
    # and a batch is its people.
    for index in range(3):
        one = slice(index, index + 1)
        alone = pose_theta(moved[one], confidence[one], **GATED)
        torch.testing.assert_close(alone, gated[one])


def test_where_little_is_known_or_wrong_it_is_the_identity():
    xy, confidence = people(1)
    # a good box: 0.02 beside
    theta = pose_theta(xy + 0.02, confidence, **GATED)
    torch.testing.assert_close(theta[0], EYE.double(), rtol=0, atol=1e-3)
    for count in (0, 2):  # nobody, or two joints
        few = 0.9 * (torch.arange(17) < count).double()[None]
        theta = pose_theta(xy * 0.5 + 0.4, few, **GATED)
        torch.testing.assert_close(theta[0], EYE.double(), rtol=0, atol=5e-3)
    # a joint that is not seen widens nothing
    xy, confidence[:, 5] = xy.clone(), 0.0
    expected = pose_theta(xy, confidence, **OPEN)
    xy[:, 5] = 1.5
    found = pose_theta(xy, confidence, **OPEN)
    torch.testing.assert_close(found, expected, rtol=0, atol=0.03)


def test_gradient_of_theta():
    xy, confidence = people(2)
    xy = (xy * 1.3 + 0.1).requires_grad_()
    confidence = (confidence * 0.3).requires_grad_()
    settings = dict(GATED, min_joints=11.0)

    def by_joints(xy, confidence):
        return pose_theta(xy, confidence, **settings)

    assert gradcheck(by_joints, (xy, confidence))


def localized(name, **kwargs):
    """A model with a localizer by joints, which takes every joint."""
    localizer = dict(OPEN, type=name, min_confidence=-9.0)
    if name == 'PoseLocalizer':
        part = tiny.sppe()
        localizer.update(backbone=part['backbone'], head=part['head'])
    sstn = dict(in_channels=None, theta_loss=dict(type='ThetaCornerLoss'))
    sstn.update(kwargs.pop('sstn', {}))
    return tiny.rmpe(
        localizer=localizer,
        localizer_size=(24, 32),
        transform='scale_shift',
        sstn=sstn,
        **kwargs,
    )


@pytest.mark.parametrize('name', ['PoseLocalizer', 'SecondLook'])
@pytest.mark.parametrize('context', [1.0, 1.5])
def test_the_sdtn_is_exact_behind_it(name, context):
    """What the SPPE predicts in theta's frame, moved by theta by hand."""
    model = localized(name, context=context).eval()
    inputs, samples = tiny.batch()
    width, height = model.crop_size
    torch.manual_seed(1)
    crops = torch.randn(2, 3, height, width)
    with torch.no_grad():
        theta = model.sstn.guard(model.regress_theta(crops))
        warped = model.stn(crops, theta)
    assert (theta - EYE).abs().amax((1, 2)).min() > 0.02
    assert warped.shape == inputs.shape
    in_stn, _ = tiny.predict(tiny.plain(), warped, samples)
    half = np.array([23.5, 31.5])
    expected = [
        ((pose - half) / half * t[0, 0] + [t[0, 2], t[1, 2]]) * half + half
        for pose, t in zip(in_stn, theta.double().numpy(), strict=True)
    ]
    keypoints, _ = tiny.predict(model, crops, samples)
    np.testing.assert_allclose(keypoints, expected, atol=1e-2)
    # the joints of the reduced crop, where they lie in the SPPE's input
    reduced = torch.nn.functional.adaptive_avg_pool2d(crops, (32, 24))
    network = model if name == 'SecondLook' else model.localizer
    with torch.no_grad():
        maps = network.head(network.backbone(reduced))
    cells, confidence = soft_argmax(maps)
    pixels = cells * 4  # of 24 x 32, each the mean of a few
    share = torch.tensor([width / 24, height / 32])
    whole = (pixels + 0.5) * share - 0.5
    middle = torch.tensor([width - 1, height - 1]) / 2
    xy = (whole - middle) / torch.tensor(half, dtype=torch.float32)
    by_hand = pose_theta(xy, confidence, **model.localizer.settings)
    torch.testing.assert_close(theta, by_hand, rtol=0, atol=1e-5)


def test_a_pose_localizer_learns_and_a_second_look_leaves_no_trace():
    inputs, samples = tiny.batch()
    for sample in samples:
        sample.gt_instance_labels.center_theta = tiny.THETAS[:1]
    detached = dict(detach_theta=True)
    model = localized('PoseLocalizer', sstn=detached).train()
    model.loss(inputs, samples)['loss_theta'].backward()
    assert (model.localizer.backbone.layers[0].weight.grad != 0).any()
    assert model.backbone.layers[0].weight.grad is None

    model = localized('SecondLook').train()
    assert not list(model.localizer.parameters())
    before = deepcopy(model.state_dict())
    model.regress_theta(inputs)
    after = model.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert model.backbone.training and model.backbone.layers[1].training


def test_a_pose_localizer_starts_as_the_sppe():
    model = localized('PoseLocalizer', localizer_from_backbone=True)
    plain = tiny.plain(seed=3).state_dict()
    model.load_state_dict(plain, strict=False)
    for name, value in model.localizer.state_dict().items():
        assert torch.equal(value, plain[name]), name


def test_a_localizer_of_another_normalization():
    """The shipped network finds the same in pixels that HRNet's crop has."""
    cfg = Config.fromfile(HRNET)
    localizer = MODELS.build(cfg.model.localizer)
    localizer.init_weights()
    localizer.eval()
    plain = deepcopy(localizer)
    plain.normalization = None
    own, movenet = (
        MODELS.build(dict(cfg.model.sppe.data_preprocessor, **numbers))
        for numbers in ({}, dict(mean=[127.5] * 3, std=[127.5] * 3))
    )
    rng = np.random.default_rng(0)
    pixels = torch.from_numpy(rng.integers(0, 256, (3, 160, 128)))
    data = dict(inputs=[pixels.to(torch.uint8)], data_samples=[])
    found, expected = (
        network(own_input(data)['inputs'], own_input)[0]
        for network, own_input in ((localizer, own), (plain, movenet))
    )
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
