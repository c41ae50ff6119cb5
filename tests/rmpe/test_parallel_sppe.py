"""ParallelSPPE: equality with the plain model, and frames."""

from copy import deepcopy

import cv2
import numpy as np
import pytest
import tiny_rmpe as tiny
import torch
from mmpose.registry import MODELS, TRANSFORMS

from rmpe_spm.rmpe.theta import mirror_theta

KINDS = ['heatmap', 'simcc', 'RegressionHead', 'RLEHead']
SEEING = ['heatmap+vis', 'RegressionHead+vis']
NESTED = dict(type='SSTNHead', in_channels=8, head=tiny.sppe()['head'])


@pytest.mark.parametrize('kind', [*KINDS, *SEEING])
@pytest.mark.parametrize('sdtn', ['coordinates', 'heatmaps'])
@pytest.mark.parametrize('flip_test', [False, True])
@pytest.mark.parametrize('make', [tiny.rmpe, tiny.feature_level])
def test_identity_equals_the_plain_model(make, kind, sdtn, flip_test):
    plain = tiny.plain(kind)
    plain.test_cfg['flip_test'] = flip_test
    model = make(kind, test_cfg=dict(sdtn=sdtn, flip_test=flip_test))
    inputs, samples = tiny.batch(kind)
    expected, expected_scores = tiny.predict(plain, inputs, samples)
    keypoints, scores = tiny.predict(model, inputs, samples)
    np.testing.assert_allclose(keypoints, expected, atol=1e-2)
    np.testing.assert_allclose(scores, expected_scores, atol=1e-4)
    assert np.ptp(expected) > 1
    expected = plain.train().loss(inputs, samples)
    losses = model.train().loss(inputs, samples)
    torch.testing.assert_close(losses, expected, rtol=1e-4, atol=1e-6)
    losses['loss_kpt'].backward()
    sstn = model.head if make is tiny.feature_level else model.sstn
    assert (sstn.theta_fc.bias.grad != 0).all()
    assert (model.backbone.layers[0].weight.grad != 0).any()


@pytest.mark.parametrize('kind', [*KINDS, 'udp'])
def test_coordinates_are_theta_of_the_stn_frame(kind):
    """Predictions on the warped crop, moved by hand with theta."""
    model = tiny.rmpe(kind)
    tiny.set_theta(model.sstn)
    inputs, samples = tiny.batch(kind)
    warped = model.stn(inputs, tiny.THETAS)
    in_stn, _ = tiny.predict(tiny.plain(kind), warped, samples)
    # UDP decodes w / (w - 1) times the pixel
    scale = np.array([48 / 47, 64 / 63]) if kind == 'udp' else np.ones(2)
    # x: .8 x + (1 - .8) * 23.5 + .1 * 23.5, y: .8 y + .2 * 31.5 - .2 * 31.5
    expected = in_stn / scale * 0.8 + np.array([7.05, 0.0])
    keypoints, _ = tiny.predict(model, inputs, samples)
    np.testing.assert_allclose(keypoints, expected * scale, atol=1e-2)


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('sdtn', ['coordinates', 'heatmaps'])
def test_context_is_room_around_the_same_crop(kind, sdtn):
    """Equal to the model without context, but for what it may look at."""
    test_cfg = dict(sdtn=sdtn, flip_test=True)
    model = tiny.rmpe(kind, context=1.5, test_cfg=test_cfg).double()
    without = tiny.rmpe(kind, test_cfg=test_cfg).double()
    inputs, samples = tiny.batch(kind)
    inputs = inputs.double()
    torch.manual_seed(0)
    wide = torch.randn(2, 3, 96, 72, dtype=torch.float64)
    wide[..., 16:80, 12:60] = inputs  # 48 x 64 in the middle of 72 x 96
    found = tiny.predict(model, wide, samples)
    for ours, plain in zip(
        found, tiny.predict(without, inputs, samples), strict=True
    ):
        np.testing.assert_allclose(ours, plain, rtol=0, atol=1e-6)
    # a theta that stays within the crop sees and predicts the same
    found = []
    for each, crops in ((model, wide), (without, inputs)):
        tiny.set_theta(each.sstn, tiny.THETAS[0])
        found.append(tiny.predict(each, crops, samples)[0])
        found.append(each.train().loss(crops, samples)['loss_kpt'])
    np.testing.assert_allclose(found[0], found[2], rtol=0, atol=1e-6)
    torch.testing.assert_close(found[1], found[3])
    # where it leaves the crop there is something to see
    beside = torch.tensor([[[1.0, 0, 0.4], [0, 1, 0]]], dtype=torch.float64)
    edges = [
        each.stn(crops[:1], beside)[0, 0, :, -1].std()
        for each, crops in ((model, wide), (without, inputs))
    ]
    assert edges[0] > 0.1 and edges[1] == 0


def test_another_context_in_the_pipeline_is_named():
    model = tiny.rmpe(context=1.5)
    inputs, samples = tiny.batch()
    message = r'context=1.5\) takes crops of 72x96 .* gives crops of 48x64'
    for forward in (model.loss, model.predict):
        with pytest.raises(ValueError, match=message):
            forward(inputs, samples)
    # a crop of the right size that is another frame's
    for sample in samples:
        sample.set_metainfo(dict(input_size=(72, 96)))
    with pytest.raises(
        ValueError, match=r'of 72x96 around \{\(72, 96\)\}: give'
    ):
        model.loss(torch.zeros(2, 3, 96, 72), samples)


@pytest.mark.parametrize('use_udp', [False, True])
def test_the_crop_with_context_has_the_plain_one_in_its_middle(use_udp):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (150, 200, 3), dtype=np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 3)
    given = dict(
        img=image,
        img_shape=(150, 200),
        bbox_center=np.float32([[90.3, 70.8]]),
        bbox_scale=np.float32([[61.0, 70.0]]),
        bbox_rotation=np.float32([20.0]),
        keypoints=np.float32([[[80.0, 60.0]]]),
    )
    plain = dict(type='TopdownAffine', input_size=(48, 64), use_udp=use_udp)
    context = dict(plain, type='TopdownContextAffine', context=1.6)
    plain, wide = (
        TRANSFORMS.build(config)(deepcopy(given))
        for config in (plain, context)
    )
    # 48 + 2 * 14 and 64 + 2 * 19, of 1.6 times 48 and 64: 14.4 and 19.2
    assert wide['img'].shape == (102, 76, 3)
    middle = wide['img'][19:83, 14:62].astype(int)
    # cv2 rounds places to 1/32 pixel
    assert np.abs(middle - plain['img']).max() <= 2
    assert (middle == plain['img']).mean() > 0.9
    for key in ('input_size', 'input_center', 'transformed_keypoints'):
        np.testing.assert_array_equal(wide[key], plain[key])


@pytest.mark.parametrize('kind', SEEING)
@pytest.mark.parametrize('sdtn', ['coordinates', 'heatmaps'])
def test_theta_moves_keypoints_and_not_visibility(kind, sdtn):
    """Keypoints are those of the inner head alone."""
    test_cfg = dict(sdtn=sdtn)
    model = tiny.rmpe(kind, test_cfg=test_cfg)
    alone = tiny.rmpe(kind.removesuffix('+vis'), test_cfg=test_cfg)
    alone.backbone.load_state_dict(model.backbone.state_dict())
    alone.head.load_state_dict(model.head.pose_head.state_dict())
    tiny.set_theta(model.sstn)
    tiny.set_theta(alone.sstn)
    inputs, samples = tiny.batch(kind)
    keypoints, visible = tiny.predict(model, inputs, samples)
    expected, _ = tiny.predict(alone, inputs, samples)
    np.testing.assert_allclose(keypoints, expected, atol=1e-3)
    plain = tiny.plain(kind)
    warped = model.stn(inputs, tiny.THETAS)
    _, expected = tiny.predict(plain, warped, samples)
    np.testing.assert_allclose(visible, expected, atol=1e-5)
    assert np.ptp(visible) > 0.01
    with torch.no_grad():
        keypoints, visible = model._forward(inputs)
        torch.testing.assert_close(keypoints, alone._forward(inputs))
        torch.testing.assert_close(visible, plain._forward(warped)[1])
    losses = [m.train().loss(inputs, samples) for m in (model, alone)]
    torch.testing.assert_close(*(each['loss_kpt'] for each in losses))
    assert {'loss_vis', 'acc_vis'} <= set(losses[0])


def test_stn_pads_with_black():
    model = tiny.rmpe()
    theta = torch.tensor([[[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]])
    warped = model.stn(torch.randn(1, 3, 64, 48), theta)
    black = torch.tensor([-120 / 60, -110 / 50, -100 / 40])
    torch.testing.assert_close(warped[0, :, 0, 0], black)


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('sdtn', ['coordinates', 'heatmaps'])
def test_flip_test_is_equivariant(kind, sdtn):
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


@pytest.mark.parametrize('kind', ['heatmap', 'simcc', 'RegressionHead'])
def test_mixed_precision(kind):
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


def test_output_heatmaps_are_in_the_crops_frame():
    outputs = {}
    inputs, samples = tiny.batch()
    for sdtn in ('coordinates', 'heatmaps'):
        model = tiny.rmpe(test_cfg=dict(sdtn=sdtn, output_heatmaps=True))
        tiny.set_theta(model.sstn)
        with torch.no_grad():
            results = model.eval().predict(inputs, deepcopy(samples))
        outputs[sdtn] = torch.stack([r.pred_fields.heatmaps for r in results])
    torch.testing.assert_close(*outputs.values())
    torch.testing.assert_close(outputs['heatmaps'], model._forward(inputs))


@pytest.mark.parametrize('sdtn', ['coordinates', 'heatmaps'])
def test_simcc_vectors_are_in_the_crops_frame(sdtn):
    inputs, samples = tiny.batch('simcc')
    model = tiny.rmpe('simcc', test_cfg=dict(sdtn=sdtn, output_heatmaps=True))
    tiny.set_theta(model.sstn, torch.tensor([0.8, 0.25, -0.25]))
    # smooth vectors of two bins a pixel, in the STN's frame
    middles = torch.tensor([20.0, 40, 60, 70])[:, None]
    vectors = tuple(
        torch.exp(-((torch.arange(length) - middles) ** 2) / 72)
        for length in (96, 128)
    )
    model.head.forward = lambda _: tuple(torch.stack([v, v]) for v in vectors)
    with torch.no_grad():
        results = model.eval().predict(inputs, deepcopy(samples))
    for poses in (result.pred_instances for result in results):
        for axis, name in enumerate('xy'):
            found = poses.get(f'keypoint_{name}_labels').argmax(axis=-1) / 2
            np.testing.assert_allclose(
                found, poses.keypoints[..., axis], atol=0.5
            )


def test_the_localizer_starts_as_the_plain_backbone():
    plain = tiny.plain(seed=3).state_dict()

    def is_localizer(model, weights, prefix):
        return all(
            torch.equal(value, weights[prefix + name])
            for name, value in model.localizer.state_dict().items()
        )

    model = tiny.rmpe(seed=7, localizer_from_backbone=True)
    model.load_state_dict(plain, strict=False)
    assert is_localizer(model, plain, 'backbone.')
    # By copy: the two learn apart.
    weight = model.backbone.layers[0].weight
    assert weight.data_ptr() != model.localizer.layers[0].weight.data_ptr()
    # A localizer in the checkpoint is kept, and without the option its own.
    trained = tiny.rmpe(seed=5).state_dict()
    model.load_state_dict(trained)
    assert is_localizer(model, trained, 'localizer.')
    model = tiny.rmpe(seed=7)
    own = deepcopy(model.localizer.state_dict())
    model.load_state_dict(plain, strict=False)
    assert is_localizer(model, own, '')
    assert not is_localizer(model, plain, 'backbone.')


@pytest.mark.parametrize('bad', [0.0, float('nan'), float('inf')])
def test_a_degenerate_theta_is_the_identity(bad):
    model, plain = tiny.rmpe(parallel=dict()), tiny.plain()
    tiny.set_theta(model.sstn, torch.full((6,), bad))
    inputs, samples = tiny.batch()
    with pytest.warns(UserWarning, match='cannot be inverted') as caught:
        found = tiny.predict(model, inputs, samples)
        losses = model.train().loss(inputs, samples)
    assert len(caught) == 1
    expected = tiny.predict(plain, inputs, samples)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-2)
    loss = plain.train().loss(inputs, samples)['loss_kpt']
    torch.testing.assert_close(losses['loss_kpt'], loss, rtol=1e-4, atol=1e-6)
    (losses['loss_kpt'] + losses['loss_center']).backward()
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            assert parameter.grad.isfinite().all(), name
    assert (model.sstn.theta_fc.bias.grad == 0).all()
    assert (model.head.final_layer.weight.grad != 0).any()


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(sppe=dict(type='BottomupPoseEstimator')), 'TopdownPoseEst'),
        (dict(test_cfg=dict(sdtn='both')), "sdtn='both' is neither"),
        (dict(parallel=dict(weight=1)), "argument 'weight'"),
        (dict(kind='simcc', transform='affine'), "transform='scale_shift'"),
        (dict(kind='simcc+vis', transform='affine'), "transform='scale_sh"),
        (dict(sppe=dict(tiny.sppe(), head=NESTED)), 'one transformer'),
        (dict(sstn=dict(head=NESTED['head'])), 'one transformer'),
        (
            dict(localizer=dict(type='SecondLook')),
            'SecondLook gives theta itself: set it to None',
        ),
        (dict(sstn=dict(in_channels=None)), 'TinyBackbone gives features'),
    ],
)
def test_errors_say_what_to_do(change, message):
    with pytest.raises((ValueError, TypeError), match=message):
        MODELS.build(tiny.rmpe_config(**change))


def test_targets_that_are_missing_are_named():
    model = tiny.rmpe(parallel=dict()).train()
    inputs, samples = tiny.batch(center=False)
    with pytest.raises(KeyError, match='GenerateCenterTarget'):
        model.loss(inputs, samples)
