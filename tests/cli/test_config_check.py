"""Targets, predictions and inputs of one codec."""

from copy import deepcopy

import pytest
from mmengine.config import Config

from rmpe_spm.cli.preflight import check_training
from rmpe_spm.errors import ConfigError

CODEC = dict(
    type='HierarchicalSPRCodec', input_size=(64, 64), heatmap_size=[16, 16]
)
PATHS = dict(
    head='model.head',
    sppe='model.sppe.head.head',
    visibility='model.head.pose_cfg',
)


def config(kind='head', **encoder):
    """A training; ``kind`` says where the head has its decoder."""
    head = dict(type='SPMHead', decoder=dict(CODEC, decode_thr=0.1))
    pipeline = [
        dict(type='LoadImage'),
        dict(type='BottomupInstanceAffine', input_size=(64, 64)),
        dict(type='GenerateTarget', encoder={**CODEC, **encoder}),
    ]
    model = dict(head=head)
    if kind == 'sppe':
        model = dict(sppe=dict(head=dict(head=head)))
    elif kind == 'visibility':
        model = dict(head=dict(type='VisPredictHead', pose_cfg=head))
    return Config(
        dict(
            model=model,
            optim_wrapper=dict(optimizer=dict(type='AdamW')),
            train_dataloader=dict(dataset=dict(pipeline=pipeline)),
        )
    )


@pytest.mark.parametrize('kind', PATHS)
def test_one_codec_passes(kind):
    # lists are tuples to a config, and how maps are decoded is the head's
    check_training(config(kind, heatmap_size=(16, 16), decode_thr=0.5))


@pytest.mark.parametrize('kind', PATHS)
@pytest.mark.parametrize('wrapped', [False, True])
def test_another_codec_is_told(kind, wrapped):
    cfg = config(kind, heatmap_size=(8, 8))
    where = 'dataset.pipeline.2.encoder'
    if wrapped:
        inner = cfg.train_dataloader.dataset
        cfg.train_dataloader.dataset = dict(type='X', datasets=[dict(), inner])
        where = 'dataset.datasets.1.pipeline.2.encoder'
    with pytest.raises(ConfigError) as caught:
        check_training(cfg)
    text = str(caught.value)
    assert f'train_dataloader.{where}.heatmap_size=(8, 8)' in text
    assert f'{PATHS[kind]}.decoder.heatmap_size=[16, 16]' in text


def test_input_of_another_size_is_told():
    cfg = config()
    cfg.train_dataloader.dataset.pipeline[1].input_size = (96, 96)
    with pytest.raises(
        ConfigError, match=r'pipeline\.1\.input_size=\(96, 96\)'
    ):
        check_training(cfg)


def test_what_has_no_single_codec_passes():
    check_training(Config(dict(model=dict(type='X'))))
    cfg = config()
    several = [deepcopy(CODEC), dict(CODEC, heatmap_size=(8, 8))]
    cfg.train_dataloader.dataset.pipeline[2].encoder = several
    check_training(cfg)


def test_unknown_optimizer():
    cfg = config()
    cfg.optim_wrapper.optimizer.type = 'AdamX'
    with pytest.raises(KeyError, match='AdamX is not in the optimizer regis'):
        check_training(cfg)
