"""SSTNHead: the regression of theta, and the feature level."""

from copy import deepcopy

import numpy as np
import pytest
import tiny_rmpe as tiny
import torch
from mmpose.registry import MODELS
from torch.autograd import gradcheck
from torch.func import functional_call

from rmpe_spm.rmpe.sdtn import CropFrame
from rmpe_spm.rmpe.spatial_transformer import warp
from rmpe_spm.rmpe.sstn_head import SSTNHead
from rmpe_spm.rmpe.theta import mirror_theta

KINDS = ['heatmap', 'simcc', 'RegressionHead', 'RLEHead']
KINDS += ['heatmap+vis', 'RegressionHead+vis']
EYE = torch.eye(2, 3)


@pytest.mark.parametrize('transform', ['affine', 'similarity', 'scale_shift'])
def test_begins_at_the_identity(transform):
    head = SSTNHead(8, transform, pool_size=(3, 4))
    for initialise in (lambda: None, head.init_weights):
        initialise()
        assert head.theta_fc.weight.abs().max() == 0
        theta = head.regress_theta((torch.rand(2, 8, 16, 12),), (48, 64))
        torch.testing.assert_close(theta, EYE.expand(2, 2, 3))
    assert theta.dtype == torch.float32


def test_theta_by_hand():
    """Weights that read one pooled cell."""
    head = SSTNHead(2, 'scale_shift', pool_size=(2, 1))
    feats = torch.zeros(1, 2, 4, 4)
    feats[0, 1, :, 2:] = 3.0  # channel 1, right half: the last of 4 cells
    with torch.no_grad():
        head.theta_fc.weight[1, 3] = 0.1
        head.theta_fc.weight[2, 2] = 1.0
    theta = head.regress_theta([feats], (48, 64))
    torch.testing.assert_close(
        theta, torch.tensor([[[1.0, 0, 0.3], [0, 1.0, 0]]])
    )


def test_small_corrections_are_not_made_at_test():
    """Half of r0 moves by 1/17 of itself, twice r0 by 16/17."""
    head = SSTNHead(8, 'scale_shift', dead_zone=0.2)
    theta = EYE.repeat(2, 1, 1)
    theta[:, 0, 2] = torch.tensor([0.1, 0.4])
    expected = torch.tensor([0.1 / 17, 0.4 * 16 / 17])
    torch.testing.assert_close(head.guard(theta), theta)  # in training
    head.eval()
    found = head.guard(theta)
    torch.testing.assert_close(found[:, 0, 2], expected)
    # of the mean, and once
    other = mirror_theta(theta)
    torch.testing.assert_close(head.test_theta(theta, other), found)
    scaled = theta * torch.tensor([[2.0, 2, 0], [2, 2, 0]])
    gate = np.log(2) ** 4 / (np.log(2) ** 4 + 0.2**4)
    torch.testing.assert_close(
        head.guard(scaled)[:, 0, 0], torch.full((2,), 2.0**gate)
    )
    with pytest.raises(ValueError, match="needs transform='scale_shift'"):
        SSTNHead(8, 'affine', dead_zone=0.2)


def test_float32_under_autocast():
    head = SSTNHead(8)
    with torch.no_grad():
        head.theta_fc.bias[0] = 1.001
    with torch.autocast('cpu', dtype=torch.bfloat16):
        theta = head.regress_theta([torch.rand(1, 8, 4, 4).bfloat16()], (4, 4))
    assert theta.dtype == torch.float32
    assert theta[0, 0, 0].item() == pytest.approx(1.001, rel=1e-6)


def test_a_degenerate_theta_of_a_training_warns_a_step_later():
    """A step does not wait for the device."""
    head = SSTNHead(8)
    theta = torch.stack((EYE * 0.9, EYE * 0, EYE * float('nan')))
    with pytest.warns(UserWarning, match='cannot be inverted') as caught:
        guarded = head.guard(theta)
        assert not caught
        head.guard(theta)
        head.guard(theta)
    assert len(caught) == 1
    torch.testing.assert_close(guarded, torch.stack((EYE * 0.9, EYE, EYE)))


def test_mirrored_thetas_whose_mean_cannot_be_inverted():
    head = SSTNHead(8).eval()
    with pytest.warns(UserWarning, match='cannot be inverted'):
        theta = head.test_theta(EYE[None] * 0.9, EYE[None] * -0.9)
    torch.testing.assert_close(theta, EYE[None])


@pytest.mark.parametrize('kind', KINDS)
def test_feature_level_by_hand(kind):
    """Warp the features, run the plain head, move the keypoints."""
    model, plain = tiny.feature_level(kind), tiny.plain(kind).eval()
    tiny.set_theta(model.head)
    inputs, samples = tiny.batch(kind)
    with torch.no_grad():
        (maps,) = plain.backbone(inputs)
        on_map = CropFrame(tiny.SIZE).theta_on(tiny.THETAS, maps)
        feats = (warp(maps, on_map),)
        if plain.with_neck:
            feats = plain.neck(feats)
        preds = plain.head.predict(feats, deepcopy(samples))
    preds = preds[0] if '+vis' in kind else preds
    expected = np.concatenate([p.keypoints for p in preds]) * 0.8
    expected += np.array([7.05, 0.0])
    np.testing.assert_allclose(
        tiny.predict(model, inputs, samples)[0], expected, atol=1e-2
    )


@pytest.mark.parametrize('level', ['image', 'feature'])
def test_the_loss_on_theta_by_hand(level):
    loss = dict(type='ThetaCornerLoss', smooth=0.0)
    if level == 'image':
        model = tiny.rmpe(sstn=dict(theta_loss=loss))
        sstn = model.sstn
    else:
        model = tiny.feature_level()
        sstn = model.head
        sstn.theta_loss = MODELS.build(loss)
    tiny.set_theta(sstn)
    inputs, samples = tiny.batch()
    with pytest.raises(KeyError, match='an image.*GenerateCenterTarget'):
        model.loss(inputs, samples)
    # The first sample's theta is right, the other's 0.4 off to the right:
    # half the coordinates of half the samples.
    for sample, off in zip(samples, (0.0, 0.4), strict=True):
        target = tiny.THETAS[:1].clone()
        target[..., 0, 2] -= off
        sample.gt_instance_labels.center_theta = target
    losses = model.loss(inputs, samples)
    assert losses['loss_theta'].item() == pytest.approx(0.1)
    losses['loss_theta'].backward()
    assert sstn.theta_fc.bias.grad[2].item() == pytest.approx(0.25)
    sstn.theta_loss = None
    assert 'loss_theta' not in model.loss(inputs, samples)


def test_errors_say_what_to_do():
    with pytest.raises(ValueError, match='unknown transform'):
        SSTNHead(8, 'homography')
    with pytest.raises(ValueError, match=r'SSTNHead\(neck=...\)'):
        SSTNHead(8).regress_theta((torch.rand(2, 8),), (48, 64))
    with pytest.raises(ValueError, match="transform='scale_shift'"):
        tiny.feature_level('simcc', transform='affine')
    model = tiny.feature_level()
    _, samples = tiny.batch()
    with pytest.raises(ValueError, match="sdtn='both'"):
        model.head.predict(
            (torch.rand(2, 8, 16, 12),), samples, test_cfg=dict(sdtn='both')
        )


def test_the_flipped_features_are_warped_by_the_mirrored_theta():
    model = tiny.feature_level(test_cfg=dict(flip_test=True))
    tiny.set_theta(model.head)
    with torch.no_grad():
        model.head.theta_fc.weight.normal_(0, 0.2)
    seen = []
    forward = model.head.head.forward
    model.head.head.forward = lambda x: (seen.append(x[0]), forward(x))[1]
    inputs, samples = tiny.batch()
    model.eval()
    with torch.no_grad():
        feats = [model.extract_feat(x) for x in (inputs, inputs.flip(-1))]
        one, other = (model.head.regress_theta(f, (48, 64)) for f in feats)
        model.predict(inputs, samples)
    flip = torch.tensor([[1.0, -1.0, -1.0], [-1.0, 1.0, 1.0]])
    theta = (one + other * flip) / 2
    for maps, matrix, got in zip(
        feats, (theta, theta * flip), seen, strict=True
    ):
        matrix = CropFrame(tiny.SIZE).theta_on(matrix, maps[0])
        torch.testing.assert_close(got, warp(maps[0], matrix))


@pytest.mark.parametrize(
    ('kind', 'transform'),
    [
        ('heatmap', 'affine'),
        ('heatmap', 'scale_shift'),
        ('combined', 'affine'),  # UDP's offset maps
        ('combined', 'scale_shift'),
        ('RegressionHead', 'affine'),
        ('RegressionHead', 'scale_shift'),
        ('simcc', 'scale_shift'),
    ],
)
def test_gradients_of_the_whole_path(kind, transform):
    """theta, the STN, the inner head and the SDTN, all inputs at once."""
    head = tiny.feature_level(kind, transform=transform).head.double().eval()
    # no cell falls on a cell of its source, where sampling has a kink
    tiny.set_theta(head, [0.83, 0.07, 0.11, -0.06, 0.91, -0.13])
    torch.nn.init.normal_(head.theta_fc.weight, 0, 0.02)

    def run(feats, weight, bias):
        replaced = {'theta_fc.weight': weight, 'theta_fc.bias': bias}
        out = functional_call(head, replaced, ([feats],))
        return tuple(out) if isinstance(out, (tuple, list)) else out

    feats = torch.rand(1, 8, 16, 12, dtype=torch.float64, requires_grad=True)
    bias = head.theta_fc.bias
    assert gradcheck(run, (feats, head.theta_fc.weight, bias), fast_mode=True)
    # each of theta's parameters moves the result
    out = run(feats, head.theta_fc.weight, bias)
    total = sum(o.square().sum() for o in (out if kind == 'simcc' else [out]))
    total.backward()
    assert (bias.grad.abs() > 1e-6).all()
