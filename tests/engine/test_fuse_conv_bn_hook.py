import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpose.models import build_pose_estimator
from mmpose.registry import HOOKS
from torch import nn

CONFIGS = {
    'RMPE': (
        'configs/rmpe/generated/rmpe_mobilenetv2_1xb16-1e_generated-128x96.py'
    ),
    'SPM': (
        'configs/spm/generated/'
        'spm_mobilenetv2_multiscale_1xb8-12e_generated-320x256.py'
    ),
    'hourglass': 'configs/spm/mpii/spm_hourglass8_8xb4-250e_mpii-384x384.py',
}


def trained(config):
    """The config's network, with statistics as training leaves them."""
    for part in (config, config.get('sppe') or {}):
        if 'backbone' in part:
            part.backbone.init_cfg = None
    torch.manual_seed(0)
    model = build_pose_estimator(config).eval()
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.running_mean, -0.2, 0.2)
            nn.init.uniform_(norm.running_var, 0.5, 2)
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.uniform_(norm.bias, -0.2, 0.2)
    return model


@pytest.mark.parametrize('name', CONFIGS)
@torch.no_grad()
def test_predictions_stay(repo_root, name):
    config = Config.fromfile(repo_root / CONFIGS[name]).model
    if name == 'hourglass':
        config.backbone.num_stacks = config.head.num_stages = 1
    model = trained(config)
    height, width = (128, 96) if name == 'RMPE' else (128, 128)
    images = torch.randn(2, 3, height, width)
    expected = model(images, None, mode='tensor')
    num_norms = sum(isinstance(m, nn.BatchNorm2d) for m in model.modules())
    weights = {k: v.clone() for k, v in model.state_dict().items()}
    own = dict(model.named_parameters())
    hook = HOOKS.build(dict(type='FuseConvBNHook'))
    runner = SimpleNamespace(model=model, hooks=[hook])
    for _ in range(2):  # a test after another one
        hook.before_test(runner)
        left = sum(isinstance(m, nn.BatchNorm2d) for m in model.modules())
        assert left < num_norms / 3
        torch.testing.assert_close(
            model(images, None, mode='tensor'), expected, rtol=1e-3, atol=1e-4
        )
        hook.after_test(runner)
        state = model.state_dict()
        assert list(state) == list(weights)
        assert all(torch.equal(state[k], v) for k, v in weights.items())
        assert all(p is own[k] for k, p in model.named_parameters())


def test_beside_averaged_weights_nothing_is_folded(
    load_tool, tiny_config, tmp_path
):
    """EMAHook exchanges parameters by their place within the test."""
    weights = tmp_path / 'weights.pth'
    torch.save(
        {'state_dict': trained(tiny_config.model).state_dict()}, weights
    )
    tiny_config.custom_hooks = [
        dict(type='FuseConvBNHook'),
        dict(type='EMAHook'),
    ]
    tiny_config.dump(tmp_path / 'tiny.py')
    load_tool('test').main([str(tmp_path / 'tiny.py'), str(weights)])
    (log,) = tmp_path.glob('*/*.log')
    assert 'folds nothing beside an EMAHook' in log.read_text()


def test_runs_after_the_weights_are_loaded(load_tool, tiny_config, tmp_path):
    weights = tmp_path / 'weights.pth'
    model = trained(tiny_config.model)
    torch.save({'state_dict': model.state_dict()}, weights)
    poses = []
    for hooks in ([], [dict(type='FuseConvBNHook')]):
        tiny_config.custom_hooks = hooks
        tiny_config.dump(tmp_path / f'tiny{len(hooks)}.py')
        dump = tmp_path / f'poses{len(hooks)}.pkl'
        load_tool('test').main(
            [
                str(tmp_path / f'tiny{len(hooks)}.py'),
                str(weights),
                '--dump',
                str(dump),
            ]
        )
        poses.append(
            [
                sample['pred_instances']['keypoint_scores']
                for sample in pickle.loads(dump.read_bytes())
            ]
        )
    before, after = np.array(poses)
    np.testing.assert_allclose(after, before, rtol=1e-4)
    assert (after != before).any()
