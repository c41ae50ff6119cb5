import logging
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from config_files import make_small, read_config
from mmcv.cnn import ConvModule
from mmengine.dataset import ConcatDataset
from mmengine.hooks import EMAHook
from mmpose.models import build_pose_estimator
from mmpose.registry import DATASETS, HOOKS
from torch import nn

from rmpe_spm.engine.hooks import (
    ChannelsLastHook,
    box_source_name,
    folded_norms,
)


def test_where_boxes_come_from(tiny_config, tiny_detections):
    def name_of(**changes):
        dataset = dict(tiny_config.test_dataloader.dataset, **changes)
        return box_source_name(DATASETS.build(dataset))

    assert name_of() == 'ground truth'
    file = str(tiny_detections)
    assert name_of(bbox_file=file) == 'detections detections.json'
    few = dict(bbox_file=file, filter_cfg=dict(bbox_score_thr=0.3))
    name = 'detections detections.json (score >= 0.3)'
    assert name_of(**few) == name
    settings = tiny_config.test_dataloader.dataset
    data = [DATASETS.build(dict(settings, **c)) for c in ({}, few, few)]
    assert box_source_name(ConcatDataset(data)) == f'ground truth and {name}'
    steps = [dict(type='LoadImage'), dict(type='PackPoseInputs')]
    whole = dict(data_mode='bottomup', pipeline=steps)
    assert name_of(**whole) == 'none (single stage)'
    steps.insert(1, dict(type='GroupAffine', input_size=(64, 64)))
    assert name_of(**whole) == "group's place and scale (annotated)"
    found = box_source_name(SimpleNamespace())
    assert found == 'unknown (SimpleNamespace does not tell)'


def test_the_source_is_added_to_the_metrics(caplog):
    """Of a runner that validates on annotated boxes, tests on detections."""
    annotated, detected = (
        SimpleNamespace(
            dataset=SimpleNamespace(
                data_mode='topdown', bbox_file=file, filter_cfg=None
            )
        )
        for file in (None, 'a/found.json')
    )
    runner = SimpleNamespace(
        val_dataloader=annotated,
        test_loop=SimpleNamespace(dataloader=detected),
        logger=logging.getLogger('boxes'),
    )
    hook = HOOKS.build(dict(type='BoxSourceHook'))
    assert hook.priority == 'HIGHEST'  # before the metrics are logged
    metrics = {'coco/AP': 0.5}
    hook.after_test_epoch(runner, metrics)
    assert metrics == {'coco/AP': 0.5, 'boxes': 'detections found.json'}
    with caplog.at_level(logging.INFO):
        hook.after_val_epoch(runner, metrics)
    assert metrics['boxes'] == 'ground truth'
    assert caplog.messages == ['boxes: ground truth']
    hook.after_test_epoch(None, None)
    hook.after_val_epoch(None, None)


def test_converts_weights_and_keeps_values():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
    image = torch.randn(2, 3, 9, 9)
    expected = model(image)
    layout = dict(memory_format=torch.channels_last)
    assert not model[0].weight.is_contiguous(**layout)
    ChannelsLastHook().before_run(SimpleNamespace(model=model))
    for conv in (model[0], model[2]):
        assert conv.weight.is_contiguous(**layout)
    torch.testing.assert_close(model(image), expected)


def randomize_norms(model):
    """Give a network statistics as training leaves them."""
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.running_mean, -0.2, 0.2)
            nn.init.uniform_(norm.running_var, 0.5, 2)
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.uniform_(norm.bias, -0.2, 0.2)
    return model.eval()


def count_norms(model):
    return sum(isinstance(m, nn.BatchNorm2d) for m in model.modules())


@pytest.fixture
def network():
    torch.manual_seed(0)
    return randomize_norms(
        nn.Sequential(
            ConvModule(3, 4, 3, norm_cfg=dict(type='BN')), nn.Conv2d(4, 2, 1)
        )
    )


@contextmanager
def unchanged(model):
    """The model has its own layers and weights at the end, and values."""
    images = torch.randn(2, 3, 8, 8)
    before = model(images)
    parts = [*model.modules(), *model.parameters()]
    yield images, before
    assert all(
        a is b
        for a, b in zip(
            [*model.modules(), *model.parameters()], parts, strict=True
        )
    )
    assert torch.equal(model(images), before)


def test_the_same_function_without_its_norms_and_then_as_before(network):
    with unchanged(network) as (images, before), folded_norms(network):
        assert count_norms(network) == 0
        torch.testing.assert_close(network(images), before)


def test_an_error_leaves_the_model_as_it_was(network):
    """In the body, and of a convolution that has not the norm's channels."""
    with unchanged(network), pytest.raises(KeyError), folded_norms(network):
        raise KeyError
    layers = [nn.Conv2d(2, 3, 1), nn.BatchNorm2d(5)]
    broken = nn.Sequential(network, nn.Sequential(*layers).eval())
    modules = list(broken.modules())
    with pytest.raises(RuntimeError), folded_norms(broken):
        raise AssertionError('not reached')
    assert all(a is b for a, b in zip(broken.modules(), modules, strict=True))


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


@pytest.mark.parametrize('name', CONFIGS)
@torch.no_grad()
def test_predictions_stay(name):
    config = read_config(CONFIGS[name]).model
    make_small(config)
    if name == 'hourglass':
        config.backbone.num_stacks = config.head.num_stages = 1
    torch.manual_seed(0)
    model = randomize_norms(build_pose_estimator(config))
    height, width = (128, 96) if name == 'RMPE' else (128, 128)
    images = torch.randn(2, 3, height, width)
    expected = model(images, None, mode='tensor')
    num_norms = count_norms(model)
    hook = HOOKS.build(dict(type='FuseConvBNHook'))
    runner = SimpleNamespace(model=model, hooks=[hook])
    for _ in range(2):  # a test after another one
        hook.before_test(runner)
        assert count_norms(model) < num_norms / 3
        torch.testing.assert_close(
            model(images, None, mode='tensor'), expected, rtol=1e-3, atol=1e-4
        )
        hook.after_test(runner)
        assert count_norms(model) == num_norms


def test_beside_averaged_weights_nothing_is_folded(network, caplog):
    """EMAHook exchanges parameters by their place within the test."""
    hook = HOOKS.build(dict(type='FuseConvBNHook'))
    runner = SimpleNamespace(
        model=network,
        hooks=[hook, EMAHook()],
        logger=logging.getLogger('fusing'),
    )
    layers = list(network.modules())
    hook.before_test(runner)
    assert list(network.modules()) == layers
    assert 'folds nothing beside an EMAHook' in caplog.text
    hook.after_test(runner)
