"""mmpose's heads on outputs, and RMPE around a head of visibility."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from mmpose.registry import MODELS

from rmpe_spm.rmpe.heads import forward_in_crop, head_on_outputs
from rmpe_spm.rmpe.sdtn import CropFrame, sdtn_outputs

THETA = [[0.8, 0.0, 0.1], [0.0, 0.8, -0.2]]
STRAIGHT = torch.tensor([THETA, THETA])
FIELDS = ('keypoints', 'keypoints_visible')
SEEING = ['heatmap', 'RegressionHead']


def seeing(tiny, kind='heatmap'):
    """Config of a plain model with a head of visibility around its own."""
    config = tiny.sppe(kind)
    config['head'] = dict(type='VisPredictHead', pose_cfg=config['head'])
    return config


def plain_model(tiny, kind, sees=False):
    if not sees:
        return tiny.plain(kind)
    torch.manual_seed(0)
    model = MODELS.build(seeing(tiny, kind))
    tiny.spread_weights(model)
    return model


@pytest.mark.parametrize(
    ('kind', 'sees'),
    [
        *((kind, False) for kind in ('heatmap', 'simcc', 'RLEHead')),
        *((kind, True) for kind in SEEING),
    ],
)
def test_a_head_on_outputs_does_what_the_head_does(tiny, kind, sees):
    model = plain_model(tiny, kind, sees).eval()
    head = model.head
    inputs, samples = tiny.batch(kind)
    with torch.no_grad():
        # copied: heads reshape features and outputs in place
        feats = [model.extract_feat(x) for x in (inputs, inputs.flip(-1))]
        outputs = [head.forward(deepcopy(x)) for x in feats]
        torch.testing.assert_close(
            head_on_outputs(head).loss(deepcopy(outputs[0]), samples),
            head.loss(deepcopy(feats[0]), samples),
        )
        for given, test_cfg in (
            (0, dict(flip_test=False)),
            (slice(None), dict(flip_test=True, shift_coords=False)),
        ):
            taken, expected = (
                head_on_outputs(head).predict(
                    deepcopy(outputs)[given], samples, test_cfg=test_cfg
                ),
                head.predict(
                    deepcopy(feats)[given], samples, test_cfg=test_cfg
                ),
            )
            if sees:
                taken, expected = taken[0], expected[0]
            for ours, theirs in zip(taken, expected, strict=True):
                for key, value in theirs.items():
                    np.testing.assert_array_equal(ours.get(key), value)
    # the head is as it was, and shares its weights
    assert 'forward' not in vars(head)
    assert head_on_outputs(head).state_dict().keys() == (
        head.state_dict().keys()
    )
    assert (
        list(head_on_outputs(head).parameters())[0]
        is (list(head.parameters())[0])
    )


@pytest.mark.parametrize('kind', ['heatmap', 'simcc', 'RegressionHead'])
def test_the_loss_in_the_crop_is_that_of_outputs_moved_by_theta(tiny, kind):
    """The head's own loss, with its forward replaced by hand."""
    model = tiny.plain(kind).train()
    inputs, samples = tiny.batch(kind)
    frame = CropFrame(tiny.size)
    feats = model.extract_feat(inputs)
    outputs = sdtn_outputs(model.head.forward(feats), STRAIGHT, frame)
    taken = head_on_outputs(model.head).loss(
        forward_in_crop(model.head, feats, STRAIGHT, frame), samples
    )
    unmoved = model.head.loss(feats, samples)
    model.head.forward = lambda _: outputs
    expected = model.head.loss(feats, samples)
    torch.testing.assert_close(taken, expected, rtol=0, atol=0)
    assert abs(unmoved['loss_kpt'] - expected['loss_kpt']) > 1e-4


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


@pytest.mark.parametrize('kind', SEEING)
@pytest.mark.parametrize('sdtn', ['coordinates', 'heatmaps'])
@pytest.mark.parametrize('flip_test', [False, True])
def test_identity_equals_the_plain_model(tiny, kind, sdtn, flip_test):
    plain = plain_model(tiny, kind, True)
    model = rmpe(tiny, plain, kind, test_cfg=dict(sdtn=sdtn))
    plain.test_cfg['flip_test'] = model.test_cfg['flip_test'] = flip_test
    inputs, samples = tiny.batch(kind)
    expected, expected_visible = tiny.predict(plain, inputs, samples, *FIELDS)
    keypoints, visible = tiny.predict(model, inputs, samples, *FIELDS)
    np.testing.assert_allclose(keypoints, expected, atol=1e-2)
    np.testing.assert_allclose(visible, expected_visible, atol=1e-4)
    assert np.ptp(visible) > 0.01


@pytest.mark.parametrize('kind', SEEING)
def test_theta_moves_keypoints_and_not_visibility(tiny, kind):
    plain = plain_model(tiny, kind, True)
    model = rmpe(tiny, plain, kind)
    tiny.set_theta(model.sstn, THETA)
    inputs, samples = tiny.batch(kind)
    warped = model.stn(inputs, STRAIGHT)
    expected, expected_visible = tiny.predict(plain, warped, samples, *FIELDS)
    keypoints, visible = tiny.predict(model, inputs, samples, *FIELDS)
    np.testing.assert_allclose(
        keypoints, expected * 0.8 + np.array([7.05, 0.0]), atol=1e-2
    )
    np.testing.assert_allclose(visible, expected_visible, atol=1e-5)
    with torch.no_grad():
        visible = model._forward(inputs)[1]
        torch.testing.assert_close(visible, plain.eval()._forward(warped)[1])


@pytest.mark.parametrize('kind', SEEING)
def test_losses(tiny, kind):
    """The branch teaches by keypoints alone."""
    plain = plain_model(tiny, kind, True)
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


def test_axes_that_would_be_mixed_are_refused(tiny):
    plain = plain_model(tiny, 'simcc', True)
    with pytest.raises(ValueError, match="transform='scale_shift'"):
        rmpe(tiny, plain, 'simcc')
    assert rmpe(tiny, plain, 'simcc', 'scale_shift')


@pytest.mark.parametrize('kind', SEEING)
@pytest.mark.parametrize('sdtn', ['coordinates', 'heatmaps'])
def test_feature_level(tiny, kind, sdtn):
    plain = plain_model(tiny, kind, True)
    config = seeing(tiny, kind)
    config['test_cfg']['sdtn'] = sdtn
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
    # As the inner head alone does on its features.
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
    expected = alone.train().loss(inputs, samples)['loss_kpt']
    torch.testing.assert_close(losses['loss_kpt'], expected)
    losses['loss_kpt'].backward()
    assert (model.head.theta_fc.bias.grad != 0).all()
