"""ParallelSPPE: equality with the plain model, and frames."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from rmpe_spm.rmpe.theta import mirror_theta

KINDS = ['heatmap', 'simcc', 'RegressionHead', 'RLEHead']
# 48x64 pixels: half a unit is 11.75 and 15.75 pixels.
THETA = [[0.8, 0.0, 0.1], [0.0, 0.8, -0.2]]


def parameters(kind):
    """Parameters of THETA in the parameterisation the kind needs."""
    return [0.8, 0.1, -0.2] if kind == 'simcc' else THETA


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('sdtn', ['coordinates', 'heatmaps'])
@pytest.mark.parametrize('flip_test', [False, True])
def test_identity_equals_the_plain_model(tiny, kind, sdtn, flip_test):
    plain = tiny.plain(kind)
    plain.test_cfg['flip_test'] = flip_test
    model = tiny.rmpe(kind, test_cfg=dict(sdtn=sdtn, flip_test=flip_test))
    inputs, samples = tiny.batch(kind)
    expected, expected_scores = tiny.predict(plain, inputs, samples)
    keypoints, scores = tiny.predict(model, inputs, samples)
    np.testing.assert_allclose(keypoints, expected, atol=1e-2)
    np.testing.assert_allclose(scores, expected_scores, atol=1e-4)
    assert np.ptp(expected) > 1


@pytest.mark.parametrize('kind', KINDS)
def test_identity_has_the_plain_models_loss(tiny, kind):
    inputs, samples = tiny.batch(kind)
    plain = tiny.plain(kind).train()
    model = tiny.rmpe(kind, parallel=dict()).train()
    expected = plain.loss(inputs, samples)
    losses = model.loss(inputs, samples)
    assert set(losses) == {'loss_kpt', 'loss_center', 'acc_pose'}
    torch.testing.assert_close(
        losses['loss_kpt'], expected['loss_kpt'], rtol=1e-4, atol=1e-6
    )
    assert losses['acc_pose'] == expected['acc_pose']


@pytest.mark.parametrize('kind', KINDS)
def test_coordinates_are_theta_of_the_stn_frame(tiny, kind):
    """Predictions on the warped crop, moved by hand with theta."""
    model = tiny.rmpe(kind)
    tiny.set_theta(model.sstn, parameters(kind))
    inputs, samples = tiny.batch(kind)
    theta = torch.tensor([THETA, THETA])
    warped = model.stn(inputs, theta)
    in_stn, _ = tiny.predict(tiny.plain(kind), warped, samples)
    # x: .8 x + (1 - .8) * 23.5 + .1 * 23.5, y: .8 y + .2 * 31.5 - .2 * 31.5
    expected = in_stn * 0.8 + np.array([7.05, 0.0])
    keypoints, _ = tiny.predict(model, inputs, samples)
    np.testing.assert_allclose(keypoints, expected, atol=1e-2)


def test_udp_coordinates(tiny):
    """A UDP codec decodes w / (w - 1) times the pixel."""
    model = tiny.rmpe(codec=tiny.udp)
    tiny.set_theta(model.sstn, THETA)
    inputs, samples = tiny.batch(codec=tiny.udp)
    warped = model.stn(inputs, torch.tensor([THETA, THETA]))
    in_stn, _ = tiny.predict(tiny.plain(codec=tiny.udp), warped, samples)
    pixels = in_stn * np.array([47 / 48, 63 / 64])
    expected = pixels * 0.8 + np.array([7.05, 0.0])
    keypoints, _ = tiny.predict(model, inputs, samples)
    np.testing.assert_allclose(
        keypoints, expected * np.array([48 / 47, 64 / 63]), atol=1e-2
    )


def test_stn_pads_with_black(tiny):
    model = tiny.rmpe()
    theta = torch.tensor([[[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]])
    warped = model.stn(torch.randn(1, 3, 64, 48), theta)
    black = torch.tensor([-120 / 60, -110 / 50, -100 / 40])
    torch.testing.assert_close(warped[0, :, 0, 0], black)


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('sdtn', ['coordinates', 'heatmaps'])
def test_flip_test_is_equivariant(tiny, kind, sdtn):
    """The prediction for the mirrored crop is the mirrored prediction."""
    model = tiny.rmpe(kind, test_cfg=dict(flip_test=True, sdtn=sdtn))
    model.test_cfg['shift_coords'] = False
    with torch.no_grad():
        torch.manual_seed(1)
        model.sstn.theta_fc.weight.normal_(0, 0.2)
    inputs, samples = tiny.batch(kind)
    thetas = [model.regress_theta(x) for x in (inputs, inputs.flip(-1))]
    assert (thetas[0] - mirror_theta(thetas[1])).abs().max() > 1e-3
    keypoints, scores = tiny.predict(model, inputs, samples)
    mirrored, mirrored_scores = tiny.predict(model, inputs.flip(-1), samples)
    swap = [0, 2, 1, 3]
    # Pixels are mirrored to w - 1 - x, what is decoded to the following,
    # up to half a pixel apart; maxima of maps may fall into the next cell.
    width = dict(heatmap=44, simcc=47.5).get(kind, 48)
    atol = 4.0 if sdtn == 'heatmaps' or kind == 'heatmap' else 0.5
    mirrored = mirrored[:, swap]
    mirrored[..., 0] = width - mirrored[..., 0]
    np.testing.assert_allclose(keypoints, mirrored, atol=atol)
    np.testing.assert_allclose(
        scores, mirrored_scores[:, swap], atol=1e-3, rtol=0.2
    )


def test_flip_test_averages_both_thetas(tiny):
    model = tiny.rmpe(test_cfg=dict(flip_test=True))
    with torch.no_grad():
        model.sstn.theta_fc.weight.normal_(0, 0.2)
    model.eval()
    inputs, _ = tiny.batch()
    flipped = inputs.flip(-1)
    one, other = model.regress_theta(inputs), model.regress_theta(flipped)
    other[..., 0, 1:] *= -1
    other[..., 1, 0] *= -1
    theta = model.sstn.test_theta(*map(model.regress_theta, (inputs, flipped)))
    torch.testing.assert_close(theta, (one + other) / 2)
    torch.testing.assert_close(
        model.stn(flipped, mirror_theta(theta)).flip(-1),
        model.stn(inputs, theta),
        atol=1e-4,
        rtol=0,
    )


@pytest.mark.parametrize('kind', ['heatmap', 'simcc', 'RegressionHead'])
def test_mixed_precision(tiny, kind):
    inputs, samples = tiny.batch(kind)
    model = tiny.rmpe(kind, parallel=dict()).train()
    expected = deepcopy(model).loss(inputs, samples)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = model.loss(inputs, samples)
    for key in ('loss_kpt', 'loss_center'):
        torch.testing.assert_close(
            losses[key].float(), expected[key], rtol=0.05, atol=0
        )
    losses['loss_center'].backward()
    assert (model.sstn.theta_fc.bias.grad != 0).all()


@pytest.mark.parametrize('transform', ['affine', 'similarity', 'scale_shift'])
def test_the_main_loss_reaches_theta(tiny, transform):
    model = tiny.rmpe(transform=transform).train()
    losses = model.loss(*tiny.batch())
    assert set(losses) == {'loss_kpt', 'acc_pose'}
    losses['loss_kpt'].backward()
    assert (model.sstn.theta_fc.bias.grad != 0).all()
    assert (model.backbone.layers[0].weight.grad != 0).any()


def test_output_heatmaps_are_in_the_crops_frame(tiny):
    outputs = {}
    inputs, samples = tiny.batch()
    for sdtn in ('coordinates', 'heatmaps'):
        model = tiny.rmpe(test_cfg=dict(sdtn=sdtn, output_heatmaps=True))
        tiny.set_theta(model.sstn, THETA)
        with torch.no_grad():
            results = model.eval().predict(inputs, deepcopy(samples))
        outputs[sdtn] = torch.stack([r.pred_fields.heatmaps for r in results])
    torch.testing.assert_close(*outputs.values())
    torch.testing.assert_close(outputs['heatmaps'], model._forward(inputs))


@pytest.mark.parametrize('sdtn', ['coordinates', 'heatmaps'])
def test_simcc_vectors_are_in_the_crops_frame(tiny, sdtn):
    inputs, samples = tiny.batch('simcc')
    model = tiny.rmpe('simcc', test_cfg=dict(sdtn=sdtn, output_heatmaps=True))
    tiny.set_theta(model.sstn, torch.tensor([0.8, 0.25, -0.25]))
    # smooth vectors of two bins a pixel, in the STN's frame
    middles = torch.tensor([20.0, 40, 60, 70])[None, :, None]
    vectors = tuple(
        torch.exp(-((torch.arange(length) - middles) ** 2) / 72)
        .expand(len(inputs), -1, -1)
        .clone()
        for length in (96, 128)
    )
    model.head.forward = lambda _: vectors
    with torch.no_grad():
        results = model.eval().predict(inputs, deepcopy(samples))
    for poses in (result.pred_instances for result in results):
        for axis, name in enumerate('xy'):
            found = poses.get(f'keypoint_{name}_labels').argmax(axis=-1) / 2
            np.testing.assert_allclose(
                found, poses.keypoints[..., axis], atol=0.5
            )


def test_localizer_sees_a_reduced_crop(tiny):
    model = tiny.rmpe(localizer_size=(24, 32)).eval()
    seen = []
    model.localizer.register_forward_pre_hook(
        lambda _, args: seen.append(args[0])
    )
    inputs, _ = tiny.batch()
    model._forward(inputs)
    (reduced,) = seen
    assert reduced.shape == (2, 3, 32, 24)
    torch.testing.assert_close(
        reduced[0, 0, 1, 2], inputs[0, 0, 2:4, 4:6].mean()
    )


def test_the_localizer_starts_as_the_plain_backbone(tiny):
    plain = tiny.plain(seed=3).state_dict()

    def assert_localizer(model, weights, prefix):
        for name, value in model.localizer.state_dict().items():
            assert torch.equal(value, weights[prefix + name]), name

    model = tiny.rmpe(seed=7, localizer_from_backbone=True)
    model.load_state_dict(plain, strict=False)
    assert_localizer(model, plain, 'backbone.')
    # By copy: the two learn apart.
    weight = model.backbone.layers[0].weight
    assert weight.data_ptr() != model.localizer.layers[0].weight.data_ptr()
    # A localizer in the checkpoint is kept, and without the option its own.
    trained = tiny.rmpe(seed=5).state_dict()
    model.load_state_dict(trained)
    assert_localizer(model, trained, 'localizer.')
    model = tiny.rmpe(seed=7)
    own = deepcopy(model.localizer.state_dict())
    model.load_state_dict(plain, strict=False)
    assert_localizer(model, own, '')
    with pytest.raises(AssertionError):
        assert_localizer(model, plain, 'backbone.')
