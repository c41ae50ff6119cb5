"""mmpose's heads, taken apart, and the one that starts as MoveNet's."""

from copy import deepcopy

import numpy as np
import pytest
import tiny_rmpe as tiny
import torch
from mmpose.registry import MODELS

from rmpe_spm import MoveNetHeatmapHead, MoveNetStage
from rmpe_spm.rmpe.heads import head_on_outputs

KINDS = ['heatmap', 'simcc', 'RLEHead', 'heatmap+vis', 'RegressionHead+vis']


@pytest.mark.parametrize('kind', KINDS)
def test_a_head_on_outputs_does_what_the_head_does(kind):
    model = tiny.plain(kind).eval()
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
        for given, flip_test in ((0, False), (slice(None), True)):
            test_cfg = dict(flip_test=flip_test, shift_coords=False)
            taken, expected = (
                each.predict(deepcopy(x)[given], samples, test_cfg=test_cfg)
                for each, x in (
                    (head_on_outputs(head), outputs),
                    (head, feats),
                )
            )
            if '+vis' in kind:
                taken, expected = taken[0], expected[0]
            for ours, theirs in zip(taken, expected, strict=True):
                for key, value in theirs.items():
                    np.testing.assert_array_equal(ours.get(key), value)
    # the head is as it was, and shares its weights
    assert 'forward' not in vars(head)
    ours, theirs = (
        dict(each.named_parameters()) for each in (head_on_outputs(head), head)
    )
    assert ours.keys() == theirs.keys()
    assert all(ours[name] is theirs[name] for name in ours)


@pytest.mark.parametrize('kind', ['heatmap+vis', 'RegressionHead+vis'])
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


def test_it_starts_with_the_joint_heatmaps_of_a_checkpoint(tmp_path):
    torch.manual_seed(0)
    stage = MoveNetStage(8, 17, True, False)
    state = {
        f'head.stages.0.{name}': value
        for name, value in stage.state_dict().items()
    }
    torch.save(dict(state_dict=state), tmp_path / 'movenet.pth')
    head = MODELS.build(
        dict(
            type='MoveNetHeatmapHead',
            in_channels=8,
            out_channels=17,
            init_cfg=dict(
                type='Pretrained',
                checkpoint=str(tmp_path / 'movenet.pth'),
                prefix='head.stages.0.',
            ),
        )
    )
    head.init_weights()
    feature = torch.randn(2, 8, 12, 16)
    heatmaps = head([feature])
    torch.testing.assert_close(heatmaps, stage(feature)[0][:, :17])
    assert heatmaps.min() > 0 and heatmaps.max() < 1


def test_the_last_features_are_used_and_all_weights_trained():
    head = MoveNetHeatmapHead(4, 3, channels=6)
    head([torch.zeros(1, 9, 2, 2), torch.randn(1, 4, 5, 5)]).sum().backward()
    assert all(value.grad is not None for value in head.parameters())
