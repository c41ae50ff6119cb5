"""ParallelSPPE: degenerate thetas, and configs that cannot work."""

import warnings

import numpy as np
import pytest
import torch
from mmpose.registry import MODELS


def test_degenerate_theta_warns_once_and_is_the_identity(tiny):
    model, plain = tiny.rmpe(), tiny.plain()
    tiny.set_theta(model.sstn, torch.zeros(6))
    inputs, samples = tiny.batch()
    with pytest.warns(UserWarning, match='cannot be inverted'):
        keypoints, _ = tiny.predict(model, inputs, samples)
    expected, _ = tiny.predict(plain, inputs, samples)
    np.testing.assert_allclose(keypoints, expected, atol=1e-2)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        tiny.predict(model, inputs, samples)


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
    with pytest.raises(TypeError, match="argument 'weight'"):
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
    with pytest.raises(ValueError, match='one transformer'):
        build(sppe=nested)
    with pytest.raises(ValueError, match='one transformer'):
        build(sstn={**base['sstn'], 'head': tiny.sppe()['head'] | {}})
    headless = tiny.sppe()
    headless['head']['decoder'] = None
    with pytest.raises(ValueError, match='`decoder=`'):
        build(sppe=headless)
    inputs, samples = tiny.batch(center=False)
    with pytest.raises(KeyError, match='GenerateCenterTarget'):
        build(parallel=dict()).train().loss(inputs, samples)
