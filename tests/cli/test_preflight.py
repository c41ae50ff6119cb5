"""Codecs, keypoints and weights of a run, before it starts."""

import pytest
import torch
from mmpose.models import build_pose_estimator
from torch import nn

from rmpe_spm.cli import preflight
from rmpe_spm.cli.preflight import build_runner, check_weights
from rmpe_spm.errors import ConfigError


def encoder_of(cfg):
    return cfg.train_dataloader.dataset.pipeline[3].encoder


def nest(cfg, kind):
    """Put the head with its decoder deeper into the model's config."""
    if kind == 'sppe':
        cfg.model = dict(type='ParallelSPPE', sppe=cfg.model)
    elif kind == 'pose_cfg':
        cfg.model.head = dict(type='VisPredictHead', pose_cfg=cfg.model.head)


@pytest.mark.parametrize(
    'kind, key',
    [
        ('', 'model.head'),
        ('sppe', 'model.sppe.head'),
        ('pose_cfg', 'model.head.pose_cfg'),
    ],
)
@pytest.mark.parametrize('wrapped', [False, True])
def test_targets_of_another_codec(tiny_config, kind, key, wrapped):
    nest(tiny_config, kind)
    encoder_of(tiny_config).heatmap_size = (6, 8)
    where = 'train_dataloader.dataset.pipeline'
    if wrapped:
        loader = tiny_config.train_dataloader
        loader.dataset = dict(
            type='X', datasets=[{'type': 'Y'}, loader.dataset]
        )
        where = 'train_dataloader.dataset.datasets.1.pipeline'
    with pytest.raises(ConfigError) as caught:
        build_runner(tiny_config, 'train')
    text = str(caught.value)
    assert f'{where}.3.encoder.heatmap_size=(6, 8)' in text
    assert f'{key}.decoder.heatmap_size=(12, 16)' in text


def test_an_input_of_another_size(tiny_config):
    tiny_config.train_dataloader.dataset.pipeline[2].input_size = (96, 96)
    with pytest.raises(ConfigError, match=r'pipeline\.2\.input_size=\(96, 96'):
        build_runner(tiny_config, 'train')


def test_targets_that_are_read_as_they_are_made(tiny_config):
    """Lists are tuples to a config, and how to decode is the head's."""
    encoder = encoder_of(tiny_config)
    encoder.heatmap_size = [12, 16]
    tiny_config.model.head.decoder['decode_thr'] = 0.5
    encoder['decode_thr'] = 0.1
    preflight._check_targets(tiny_config)
    # nothing to compare, or several codecs
    tiny_config.train_dataloader.dataset.pipeline[3].encoder = [encoder] * 2
    preflight._check_targets(tiny_config)
    preflight._check_targets(type(tiny_config)({}))


def combined(head):
    """UDP's combined form has 3 K channels."""
    head.out_channels *= 3
    head.loss = dict(type='CombinedTargetMSELoss', use_target_weight=True)
    head.decoder = dict(
        type='UDPHeatmap',
        input_size=(48, 64),
        heatmap_size=(12, 16),
        heatmap_type='combined',
    )


def spm(head):
    codec = dict(
        type='HierarchicalSPRCodec',
        input_size=(64, 32),
        heatmap_size=(16, 8),
        kinematics='coco' if head.out_channels == 17 else 'crowdpose',
    )
    settings = dict(in_channels=8, num_keypoints=head.out_channels)
    head.clear()
    head.update(type='SPMHead', decoder=codec, **settings)


@pytest.mark.parametrize('change', [lambda head: None, combined, spm])
@pytest.mark.parametrize('predicted', [17, 14])
def test_keypoints_of_head_and_data(tiny_config, change, predicted):
    tiny_config.model.head.out_channels = predicted
    change(tiny_config.model.head)
    model = build_pose_estimator(tiny_config.model)
    preflight._check_keypoints(model, predicted)
    preflight._check_keypoints(model, None)
    other = {17: 14, 14: 17}[predicted]
    with pytest.raises(
        ConfigError, match=rf'{predicted} keypoints.* has {other}'
    ):
        preflight._check_keypoints(model, other)


class Model(nn.Module):
    def __init__(self, width=3):
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, width, 1), nn.BatchNorm2d(width)
        )
        self.head = nn.Linear(width, 2)
        self.localizer = nn.Linear(2, 2)


@pytest.fixture
def saved(tmp_path):
    def save(state):
        torch.save(state, tmp_path / 'weights.pth')
        return str(tmp_path / 'weights.pth')

    return save


@pytest.mark.parametrize('wrapped', [False, True])
def test_its_own_weights_pass(saved, wrapped):
    state = Model().state_dict()
    del state['backbone.1.num_batches_tracked']  # of an old PyTorch
    if wrapped:
        state = {f'module.{key}': value for key, value in state.items()}
        state = dict(state_dict=state)
    check_weights(Model(), saved(state))


def test_an_sppe_without_transformer_may_be_tested(saved, monkeypatch):
    told = []
    monkeypatch.setattr(
        preflight, 'print_log', lambda text, **_: told.append(text)
    )
    state = Model().state_dict()
    check_weights(Model(), saved(state))
    assert not told
    del state['localizer.weight']
    check_weights(Model(), saved(state))
    assert len(told) == 1 and 'no trained transformer' in told[0]


def test_weights_of_another_model(saved):
    state = Model().state_dict()
    state['localizer.weight'] = torch.zeros(5, 5)
    with pytest.raises(ConfigError, match=r'1 of the 11 .*localizer\.weight'):
        check_weights(Model(), saved(state))
    del state['head.weight']
    with pytest.raises(ConfigError, match=r'2 of the 11 weights'):
        check_weights(Model(), saved(state))
    with pytest.raises(ConfigError, match=r'backbone\.0\.weight the first'):
        check_weights(Model(), saved(Model(width=4).state_dict()))
    with pytest.raises(ConfigError, match='no weights by name, but a list'):
        check_weights(Model(), saved([1, 2]))


def test_weights_to_start_from(tiny_config, saved):
    """A part is enough, and so is another head: mmengine logs which."""

    def start(state):
        tiny_config.experiment_name += '_'
        tiny_config.load_from = saved(state)
        return build_runner(tiny_config, 'train')

    weights = build_pose_estimator(tiny_config.model).state_dict()
    part = {k: v for k, v in weights.items() if k.startswith('head.')}
    start(dict(state_dict=part))
    start({key: value[:1] for key, value in part.items()})
    kernel = 'backbone.conv1.conv.weight'
    other = {kernel: weights[kernel][:1]}
    with pytest.raises(ConfigError, match='of another width or kind'):
        start(other)
    other = {f'encoder.{key}': value for key, value in weights.items()}
    with pytest.raises(
        ConfigError, match=rf'none of its {len(weights)} .*enc'
    ):
        start(other)
    with pytest.raises(ConfigError, match='no weight the first'):
        start({})
    # training goes on from another file than the one that it began with
    tiny_config.resume = True
    start({})
