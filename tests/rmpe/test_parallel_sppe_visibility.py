"""RMPE around mmpose's head that predicts visibility too."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from mmpose.registry import MODELS

THETA = [[0.8, 0.0, 0.1], [0.0, 0.8, -0.2]]
KINDS = ['heatmap', 'RegressionHead']
FIELDS = ('keypoints', 'keypoints_visible')


def seeing(tiny, kind='heatmap', **test_cfg):
    """Config of a plain model with a head around its own."""
    config = tiny.sppe(kind, **test_cfg)
    config['head'] = dict(type='VisPredictHead', pose_cfg=config['head'])
    return config


def build(config, tiny, seed=0):
    """A model with weights that are seen in its outputs."""
    torch.manual_seed(seed)
    model = MODELS.build(config)
    tiny.spread_weights(model)
    return model


def rmpe(tiny, plain, kind='heatmap', transform='affine', **kwargs):
    """An RMPE model with the weights of a plain one."""
    model = MODELS.build(
        dict(
            type='ParallelSPPE',
            sppe=seeing(tiny, kind),
            localizer=dict(type='TinyBackbone'),
            sstn=dict(type='SSTNHead', in_channels=8, transform=transform),
            **kwargs,
        )
    )
    report = model.load_state_dict(plain.state_dict(), strict=False)
    assert not report.unexpected_keys
    return model


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('sdtn', ['coordinates', 'heatmaps'])
@pytest.mark.parametrize('flip_test', [False, True])
def test_identity_equals_the_plain_model(tiny, kind, sdtn, flip_test):
    plain = build(seeing(tiny, kind), tiny)
    model = rmpe(tiny, plain, kind, test_cfg=dict(sdtn=sdtn))
    plain.test_cfg['flip_test'] = model.test_cfg['flip_test'] = flip_test
    inputs, samples = tiny.batch(kind)
    expected, expected_visible = tiny.predict(plain, inputs, samples, *FIELDS)
    keypoints, visible = tiny.predict(model, inputs, samples, *FIELDS)
    np.testing.assert_allclose(keypoints, expected, atol=1e-2)
    np.testing.assert_allclose(visible, expected_visible, atol=1e-4)
    assert np.ptp(visible) > 0.01


@pytest.mark.parametrize('kind', KINDS)
def test_theta_moves_keypoints_and_not_visibility(tiny, kind):
    plain = build(seeing(tiny, kind), tiny)
    model = rmpe(tiny, plain, kind)
    tiny.set_theta(model.sstn, THETA)
    inputs, samples = tiny.batch(kind)
    warped = model.stn(inputs, torch.tensor([THETA, THETA]))
    expected, expected_visible = tiny.predict(plain, warped, samples, *FIELDS)
    keypoints, visible = tiny.predict(model, inputs, samples, *FIELDS)
    np.testing.assert_allclose(
        keypoints, expected * 0.8 + np.array([7.05, 0.0]), atol=1e-2
    )
    np.testing.assert_allclose(visible, expected_visible, atol=1e-5)


@pytest.mark.parametrize('kind', KINDS)
def test_losses(tiny, kind):
    """The branch teaches by keypoints alone."""
    plain = build(seeing(tiny, kind), tiny)
    model = rmpe(tiny, plain, kind, parallel=dict())
    inputs, samples = tiny.batch(kind)
    twin = deepcopy(plain).eval()
    expected = plain.train().loss(inputs.clone(), samples)
    losses = model.train().loss(inputs, samples)
    assert set(losses) == {*expected, 'loss_center'}
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value, rtol=1e-4, atol=1e-6)
    # The twin without its outer head, on the centre targets.
    feats = twin.extract_feat(inputs)
    for sample in samples:
        fields = sample.gt_fields if kind == 'heatmap' else None
        for data in filter(None, (fields, sample.gt_instance_labels)):
            for key in [k for k, _ in data.items() if k.startswith('center_')]:
                data.set_field(data.get(key), key.removeprefix('center_'))
    by_hand = twin.head.pose_head.loss(feats, samples)['loss_kpt']
    torch.testing.assert_close(
        losses['loss_center'], by_hand, rtol=1e-4, atol=1e-6
    )
    losses['loss_kpt'].backward()
    assert (model.sstn.theta_fc.bias.grad != 0).all()


def test_keypoints_are_those_of_the_inner_head_alone(tiny):
    plain = build(seeing(tiny), tiny)
    heatmaps = dict(sdtn='heatmaps')
    model = rmpe(tiny, plain, test_cfg=heatmaps).eval()
    alone = tiny.rmpe(test_cfg=heatmaps).eval()
    tiny.set_theta(model.sstn, THETA)
    tiny.set_theta(alone.sstn, THETA)
    for part in ('backbone', 'head'):
        source = getattr(plain, part)
        source = getattr(source, 'pose_head', source)
        getattr(alone, part).load_state_dict(source.state_dict())
    inputs, samples = tiny.batch()
    with torch.no_grad():
        heatmaps, visible = model._forward(inputs)
        torch.testing.assert_close(heatmaps, alone._forward(inputs))
        warped = model.stn(inputs, torch.tensor([THETA, THETA]))
        torch.testing.assert_close(visible, plain.eval()._forward(warped)[1])
    np.testing.assert_allclose(
        tiny.predict(model, inputs, samples, *FIELDS)[0],
        tiny.predict(alone, inputs, samples, *FIELDS)[0],
    )
    losses = [m.train().loss(inputs, samples) for m in (model, alone)]
    torch.testing.assert_close(*(each['loss_kpt'] for each in losses))


def test_axes_that_would_be_mixed_are_refused(tiny):
    plain = build(seeing(tiny, 'simcc'), tiny)
    with pytest.raises(ValueError, match="transform='scale_shift'"):
        rmpe(tiny, plain, 'simcc')
    assert rmpe(tiny, plain, 'simcc', 'scale_shift')


@pytest.mark.parametrize('kind', KINDS)
def test_feature_level(tiny, kind):
    plain = build(seeing(tiny, kind), tiny)
    config = seeing(tiny, kind)
    config['head'] = dict(
        type='SSTNHead',
        in_channels=8,
        neck=config.pop('neck'),
        head=config['head'],
    )
    model = MODELS.build(config)
    report = model.load_state_dict(plain.state_dict(), strict=False)
    assert not report.unexpected_keys
    tiny.set_theta(model.head, THETA)
    inputs, samples = tiny.batch(kind)
    keypoints, visible = tiny.predict(model, inputs, samples, *FIELDS)
    # As the head alone does on its features.
    config['head']['head'] = config['head']['head']['pose_cfg']
    alone = MODELS.build(config)
    weights = model.state_dict()
    alone.load_state_dict(
        {k.replace('pose_head.', ''): v for k, v in weights.items()}, False
    )
    expected, _ = tiny.predict(alone, inputs, samples, *FIELDS)
    np.testing.assert_allclose(keypoints, expected, atol=1e-3)
    assert np.ptp(visible) > 0.01
    losses = model.train().loss(inputs, samples)
    assert set(losses) == {'loss_vis', 'acc_vis', 'loss_kpt', 'acc_pose'}
    losses['loss_kpt'].backward()
    assert (model.head.theta_fc.bias.grad != 0).all()
