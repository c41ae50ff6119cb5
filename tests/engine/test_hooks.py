import logging
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmcv.cnn import ConvModule
from mmengine.config import Config
from mmengine.dataset import ConcatDataset
from mmpose.models import build_pose_estimator
from mmpose.registry import DATASETS, HOOKS
from torch import nn

from rmpe_spm.engine.hooks import (
    ChannelsLastHook,
    box_source_name,
    folded_norms,
)


@pytest.fixture
def build(tiny_config):
    """Build the data set of a test with some changes."""
    settings = tiny_config.test_dataloader.dataset

    def build(**changes):
        return DATASETS.build(dict(settings, **changes))

    return build


def test_top_down_models(build, tiny_detections):
    assert box_source_name(build()) == 'ground truth'
    found = build(bbox_file=str(tiny_detections))
    assert box_source_name(found) == 'detections detections.json'
    found = build(
        bbox_file=str(tiny_detections), filter_cfg=dict(bbox_score_thr=0.3)
    )
    name = 'detections detections.json (score >= 0.3)'
    assert box_source_name(found) == name
    both = ConcatDataset([build(), found, found])
    assert box_source_name(both) == f'ground truth and {name}'


def test_models_without_boxes(build):
    pipeline = [dict(type='LoadImage'), dict(type='PackPoseInputs')]
    whole = build(data_mode='bottomup', pipeline=pipeline)
    assert box_source_name(whole) == 'none (single stage)'
    pipeline.insert(1, dict(type='GroupAffine', input_size=(64, 64)))
    groups = build(data_mode='bottomup', pipeline=pipeline)
    assert box_source_name(groups) == "group's place and scale (annotated)"


def test_what_does_not_tell():
    found = box_source_name(SimpleNamespace())
    assert found == 'unknown (SimpleNamespace does not tell)'


@pytest.fixture
def hook():
    return HOOKS.build(dict(type='BoxSourceHook'))


@pytest.fixture
def runner():
    """Validates on annotated boxes, tests on detections."""

    def loader(file):
        dataset = SimpleNamespace(
            data_mode='topdown', bbox_file=file, filter_cfg=None
        )
        return SimpleNamespace(dataset=dataset)

    return SimpleNamespace(
        val_dataloader=loader(None),
        test_loop=SimpleNamespace(dataloader=loader('a/found.json')),
        logger=logging.getLogger('boxes'),
    )


def test_adds_the_source_to_the_metrics(hook, runner, caplog):
    metrics = {'coco/AP': 0.5}
    hook.after_test_epoch(runner, metrics)
    assert metrics == {'coco/AP': 0.5, 'boxes': 'detections found.json'}
    with caplog.at_level(logging.INFO):
        hook.after_val_epoch(runner, metrics)
    assert metrics['boxes'] == 'ground truth'
    assert caplog.messages == ['boxes: ground truth']


def test_runs_before_the_metrics_are_logged(hook):
    assert hook.priority == 'HIGHEST'
    hook.after_test_epoch(None, None)
    hook.after_val_epoch(None, None)


def test_converts_weights_and_keeps_values():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
    image = torch.randn(2, 3, 9, 9)
    expected = model(image)
    assert not model[0].weight.is_contiguous(memory_format=torch.channels_last)
    ChannelsLastHook().before_run(SimpleNamespace(model=model))
    for conv in (model[0], model[2]):
        assert conv.weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(model(image), expected)


def network():
    torch.manual_seed(0)
    model = nn.Sequential(
        ConvModule(3, 4, 3, norm_cfg=dict(type='BN')), nn.Conv2d(4, 2, 1)
    ).eval()
    norm = model[0].bn
    nn.init.uniform_(norm.running_mean, -1, 1)
    nn.init.uniform_(norm.running_var, 0.5, 2)
    nn.init.uniform_(norm.weight, 0.5, 2)
    nn.init.uniform_(norm.bias, -1, 1)
    return model


def test_the_same_function_without_its_norms_and_then_as_before():
    model = network()
    images = torch.randn(2, 3, 8, 8)
    before = model(images)
    modules, parameters = list(model.modules()), list(model.parameters())
    with folded_norms(model):
        assert not any(isinstance(m, nn.BatchNorm2d) for m in model.modules())
        torch.testing.assert_close(model(images), before)
    assert all(a is b for a, b in zip(model.modules(), modules, strict=True))
    assert all(
        a is b for a, b in zip(model.parameters(), parameters, strict=True)
    )
    assert torch.equal(model(images), before)


def test_an_error_leaves_the_model_as_it_was():
    model = network()
    with pytest.raises(KeyError), folded_norms(model):
        raise KeyError
    assert isinstance(model[0].bn, nn.BatchNorm2d)
    assert model[0].conv.bias is None


def test_an_error_while_folding_too():
    """Here of the second block, whose convolution has no such channels."""
    model = network()
    model.append(nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(5)).eval())
    modules = list(model.modules())
    with pytest.raises(RuntimeError), folded_norms(model):
        raise AssertionError('not reached')
    assert all(a is b for a, b in zip(model.modules(), modules, strict=True))


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
