"""ParallelSPPE: equality with the plain model, frames, and the branch."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from mmpose.registry import MODELS

from rmpe_spm.models.utils.forward_change import changed_forward
from rmpe_spm.models.utils.theta import mirror_theta, normalized_to_pixel_theta

KINDS = ['heatmap', 'simcc', 'RegressionHead', 'RLEHead']
# 48x64 pixels: half a unit is 11.75 and 15.75 pixels.
THETA = [[0.8, 0.0, 0.1], [0.0, 0.8, -0.2]]


def parameters(kind):
    """Parameters of THETA in the parameterisation the kind needs."""
    return [0.8, 0.1, -0.2] if kind == 'simcc' else THETA


def predict(model, inputs, samples):
    model.eval()
    with torch.no_grad():
        results = model.predict(inputs.clone(), deepcopy(samples))
    return (
        np.concatenate([r.pred_instances.keypoints for r in results]),
        np.concatenate([r.pred_instances.keypoint_scores for r in results]),
    )


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('sdtn', ['coordinates', 'heatmaps'])
@pytest.mark.parametrize('flip_test', [False, True])
def test_identity_equals_the_plain_model(tiny, kind, sdtn, flip_test):
    plain = tiny.plain(kind)
    plain.test_cfg['flip_test'] = flip_test
    model = tiny.rmpe(kind, test_cfg=dict(sdtn=sdtn, flip_test=flip_test))
    inputs, samples = tiny.batch(kind)
    expected, expected_scores = predict(plain, inputs, samples)
    keypoints, scores = predict(model, inputs, samples)
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


def test_center_loss_by_hand(tiny):
    inputs, samples = tiny.batch()
    model = tiny.rmpe(parallel=dict(loss_weight=3.0)).train()
    loss = model.loss(inputs, samples)['loss_center']
    twin = tiny.plain().eval()
    target = torch.stack([s.gt_fields.center_heatmaps for s in samples])
    with torch.no_grad():
        expected = 3 * (twin._forward(inputs) - target).square().mean()
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize('kind', KINDS)
def test_coordinates_are_theta_of_the_stn_frame(tiny, kind):
    """Predictions on the warped crop, moved by hand with theta."""
    model = tiny.rmpe(kind)
    tiny.set_theta(model.sstn, parameters(kind))
    inputs, samples = tiny.batch(kind)
    theta = torch.tensor([THETA, THETA])
    warped = model.stn(inputs, theta)
    in_stn, _ = predict(tiny.plain(kind), warped, samples)
    # x: .8 x + (1 - .8) * 23.5 + .1 * 23.5, y: .8 y + .2 * 31.5 - .2 * 31.5
    expected = in_stn * 0.8 + np.array([7.05, 0.0])
    keypoints, _ = predict(model, inputs, samples)
    np.testing.assert_allclose(keypoints, expected, atol=1e-2)


def test_udp_coordinates(tiny):
    """A UDP codec decodes w / (w - 1) times the pixel."""
    model = tiny.rmpe(codec=tiny.udp)
    tiny.set_theta(model.sstn, THETA)
    inputs, samples = tiny.batch(codec=tiny.udp)
    warped = model.stn(inputs, torch.tensor([THETA, THETA]))
    in_stn, _ = predict(tiny.plain(codec=tiny.udp), warped, samples)
    pixels = in_stn * np.array([47 / 48, 63 / 64])
    expected = pixels * 0.8 + np.array([7.05, 0.0])
    keypoints, _ = predict(model, inputs, samples)
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
    keypoints, scores = predict(model, inputs, samples)
    mirrored, mirrored_scores = predict(model, inputs.flip(-1), samples)
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
    theta = model.sstn.test_theta(model.regress_theta, inputs, flipped)
    torch.testing.assert_close(theta, (one + other) / 2)
    torch.testing.assert_close(
        model.stn(flipped, mirror_theta(theta)).flip(-1),
        model.stn(inputs, theta),
        atol=1e-4,
        rtol=0,
    )


def train_step(model, inputs, samples, only=None):
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=1e-3)
    losses = model.train().loss(inputs, samples)
    loss = sum(v for k, v in losses.items() if 'loss' in k)
    (loss if only is None else losses[only]).backward()
    optimizer.step()
    optimizer.zero_grad()
    return losses


@pytest.mark.parametrize('kind', KINDS)
def test_the_branch_is_frozen_and_teaches_theta(tiny, kind):
    model = tiny.rmpe(kind, parallel=dict())
    inputs, samples = tiny.batch(kind)
    assert not model.with_parallel
    losses = model.train().loss(inputs, samples)
    losses['loss_center'].backward()
    assert (model.sstn.theta_fc.bias.grad != 0).all()
    reached = {n for n, p in model.named_parameters() if p.grad is not None}
    assert reached and all(
        n.startswith(('localizer.', 'sstn.')) for n in reached
    )
    model.zero_grad()
    before = deepcopy(model.parallel.module.state_dict())
    main = deepcopy(model.backbone.state_dict())
    for _ in range(2):
        train_step(model, inputs, samples)
    model.eval()
    model.train()
    train_step(model, inputs, samples)
    after = model.parallel.module.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert any('running_mean' in key for key in before)
    changed = model.backbone.state_dict()
    assert not torch.equal(
        main['layers.1.running_mean'], changed['layers.1.running_mean']
    )
    assert not torch.equal(main['layers.0.weight'], changed['layers.0.weight'])
    assert not any(m.training for m in model.parallel.module.modules())
    assert not any(p.requires_grad for p in model.parallel.module.parameters())


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


def test_the_branch_learns_the_shift_of_a_crop(tiny):
    """Theta alone, taught by the centre loss, finds a known shift.

    The image is a blurred dot, the frozen SPPE shows its brightness, and
    the target is the dot moved by 6 pixels.
    """
    model = tiny.rmpe(transform='scale_shift', parallel=dict(loss_weight=1e3))
    model.parallel.make(model, torch.device('cpu'))

    class Brightness(torch.nn.Module):
        def forward(self, x):
            return (torch.nn.functional.avg_pool2d(x, 4)[:, :1],)

    class Same(torch.nn.Module):
        def forward(self, feats):
            return feats[0].expand(-1, tiny.joints, -1, -1)

    branch = model.parallel.module
    branch.backbone, branch.head.final_layer = (
        Brightness(),
        torch.nn.Identity(),
    )
    branch.head.forward = Same().forward
    yy, xx = torch.meshgrid(
        torch.arange(64.0), torch.arange(48.0), indexing='ij'
    )

    def dot(x, y):
        distance = (xx - x).square() + (yy - y).square()
        return (-distance / 72).exp().expand(1, 3, 64, 48)

    model.data_preprocessor._enable_normalize = False
    _, samples = tiny.batch(count=1)
    samples[0].gt_fields.center_heatmaps = Same()(Brightness()(dot(24, 32)))[0]
    optimizer = torch.optim.Adam([model.sstn.theta_fc.bias], lr=0.02)
    for _ in range(60):
        theta = model.regress_theta(dot(30, 26))
        warped = model.stn(dot(30, 26), theta)
        model.parallel.loss(warped, samples)['loss_center'].backward()
        optimizer.step()
        optimizer.zero_grad()
    scale, x, y = model.sstn.theta_fc.bias.tolist()
    assert scale == pytest.approx(1, abs=0.05)
    assert x * 23.5 == pytest.approx(6, abs=0.5)
    assert y * 31.5 == pytest.approx(-6, abs=0.5)


def test_the_branch_is_absent_until_training_and_from_inference(tiny):
    model = tiny.rmpe(parallel=dict())
    inputs, samples = tiny.batch()
    predict(model, inputs, samples)
    model._forward(inputs)
    assert not any('parallel' in key for key in model.state_dict())
    model.train().loss(inputs, samples)
    keys = [k for k in model.state_dict() if k.startswith('parallel_sppe.')]
    assert keys
    trained = model.state_dict()
    fresh = tiny.rmpe(seed=7)
    report = fresh.load_state_dict(trained)
    assert not report.unexpected_keys and not report.missing_keys
    assert not any('parallel' in key for key in fresh.state_dict())


def test_resume_keeps_the_twin(tiny):
    inputs, samples = tiny.batch()
    model = tiny.rmpe(parallel=dict())
    for _ in range(2):
        train_step(model, inputs, samples)
    saved = deepcopy(model.state_dict())
    resumed = tiny.rmpe(seed=7, parallel=dict())
    resumed.load_state_dict(saved)
    losses = [m.train().loss(inputs, samples) for m in (model, resumed)]
    torch.testing.assert_close(*(x['loss_center'] for x in losses))
    assert all(
        torch.equal(value, resumed.state_dict()[key])
        for key, value in saved.items()
        if key.startswith('parallel_sppe.')
    )
    # It is not a copy of the main SPPE any more, which has been trained.
    twin, main = resumed.parallel.module.backbone, resumed.backbone
    assert not torch.equal(twin.layers[0].weight, main.layers[0].weight)


def test_an_inference_checkpoint_starts_a_new_twin(tiny):
    inputs, samples = tiny.batch()
    model = tiny.rmpe(parallel=dict())
    model.load_state_dict(tiny.rmpe(seed=3).state_dict())
    model.train().loss(inputs, samples)
    twin, main = model.parallel.module.backbone, model.backbone
    assert torch.equal(twin.layers[0].weight, main.layers[0].weight)
    # Loaded while the branch is there, it leaves the branch alone.
    report = model.load_state_dict(tiny.rmpe(seed=5).state_dict())
    assert not report.missing_keys
    assert not torch.equal(twin.layers[0].weight, main.layers[0].weight)


def test_the_twin_of_another_model_is_made_anew(tiny):
    """As where a model for other joints starts from a training's weights."""
    inputs, samples = tiny.batch()
    model = tiny.rmpe(parallel=dict())
    train_step(model, inputs, samples)
    saved = model.state_dict()
    for key in list(saved):
        if 'final_layer' in key:
            saved[key] = saved[key][:-1]
    started = tiny.rmpe(seed=7, parallel=dict()).train()
    with pytest.raises(RuntimeError, match='size mismatch'):
        started.load_state_dict(saved)  # mmengine logs that and goes on
    started.loss(inputs, samples)
    main = started.state_dict()
    for key, value in started.parallel.module.named_parameters():
        assert torch.equal(value, main[key]), key


def test_a_branch_of_its_own_with_a_checkpoint(tiny, tmp_path):
    other = tiny.plain(seed=9)
    path = tmp_path / 'other.pth'
    torch.save(dict(state_dict=other.state_dict()), path)
    parallel = dict(sppe=tiny.sppe(), checkpoint=str(path))
    model = tiny.rmpe(parallel=parallel).train()
    inputs, samples = tiny.batch()
    model.loss(inputs, samples)
    twin = model.parallel.module
    assert torch.equal(
        twin.head.final_layer.weight, other.head.final_layer.weight
    )
    assert not twin.training and not twin.backbone.training


def test_degenerate_theta_warns_once_and_is_the_identity(tiny):
    model, plain = tiny.rmpe(), tiny.plain()
    tiny.set_theta(model.sstn, torch.zeros(6))
    inputs, samples = tiny.batch()
    with pytest.warns(UserWarning, match='cannot be inverted'):
        keypoints, _ = predict(model, inputs, samples)
    expected, _ = predict(plain, inputs, samples)
    np.testing.assert_allclose(keypoints, expected, atol=1e-2)
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter('error')
        predict(model, inputs, samples)


@pytest.mark.parametrize('bad', [0.0, float('nan'), float('inf')])
def test_training_survives_a_degenerate_theta(tiny, bad):
    model, plain = tiny.rmpe(parallel=dict()), tiny.plain().train()
    tiny.set_theta(model.sstn, torch.full((6,), bad))
    inputs, samples = tiny.batch()
    expected = plain.loss(inputs, samples)['loss_kpt']
    with pytest.warns(UserWarning, match='cannot be inverted'):
        losses = model.train().loss(inputs, samples)
    torch.testing.assert_close(
        losses['loss_kpt'], expected, rtol=1e-4, atol=1e-6
    )
    (losses['loss_kpt'] + losses['loss_center']).backward()
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            assert parameter.grad.isfinite().all(), name
    assert (model.sstn.theta_fc.bias.grad == 0).all()
    assert (model.head.final_layer.weight.grad != 0).any()


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
    with torch.no_grad(), changed_forward(model.head, lambda _: vectors):
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
    # A localiser in the checkpoint is kept, and without the option its own.
    trained = tiny.rmpe(seed=5).state_dict()
    model.load_state_dict(trained)
    assert_localizer(model, trained, 'localizer.')
    model = tiny.rmpe(seed=7)
    own = deepcopy(model.localizer.state_dict())
    model.load_state_dict(plain, strict=False)
    assert_localizer(model, own, '')
    with pytest.raises(AssertionError):
        assert_localizer(model, plain, 'backbone.')


def test_errors_say_what_to_do(tiny):
    base = dict(
        type='ParallelSPPE',
        sppe=tiny.sppe(),
        localizer=dict(type='TinyBackbone'),
        sstn=dict(type='SSTNHead', in_channels=8),
    )

    def build(**changes):
        return MODELS.build({**base, **changes})

    with pytest.raises(ValueError, match="'TopdownPoseEstimator'"):
        build(sppe=dict(type='BottomupPoseEstimator'))
    with pytest.raises(ValueError, match="unknown keys \\['weight'\\]"):
        build(parallel=dict(weight=1))
    with pytest.raises(ValueError, match="sdtn='both' is unknown"):
        build(test_cfg=dict(sdtn='both'))
    with pytest.raises(ValueError, match="transform='scale_shift'"):
        build(sppe=tiny.sppe('simcc'))
    black = tiny.sppe()
    black['data_preprocessor'] = dict(
        type='PoseDataPreprocessor', mean=[0] * 3, std=[1] * 3
    )
    with pytest.raises(ValueError, match='data_preprocessor has mean='):
        build(parallel=dict(sppe=black))
    alike = tiny.sppe()
    main = alike['data_preprocessor']
    alike['data_preprocessor'] = dict(
        main, mean=tuple(main['mean']), bgr_to_rgb=False
    )
    build(parallel=dict(sppe=alike))
    nested = tiny.sppe()
    nested['head'] = dict(type='SSTNHead', in_channels=8, head=nested['head'])
    with pytest.raises(ValueError, match='its head is an SSTNHead'):
        build(sppe=nested)
    with pytest.raises(ValueError, match='no inner `head`'):
        build(sstn={**base['sstn'], 'head': tiny.sppe()['head'] | {}})
    headless = tiny.sppe()
    headless['head']['decoder'] = None
    with pytest.raises(ValueError, match='`decoder=`'):
        build(sppe=headless)
    inputs, samples = tiny.batch(center=False)
    with pytest.raises(KeyError, match='GenerateCenterTarget'):
        build(parallel=dict()).train().loss(inputs, samples)


def test_normalised_theta_in_pixels_of_the_crop():
    pixel = normalized_to_pixel_theta(torch.tensor([THETA]), (48, 64))
    expected = torch.tensor([[[0.8, 0, 7.05], [0, 0.8, 0.0]]])
    torch.testing.assert_close(pixel, expected, atol=1e-5, rtol=1e-5)
