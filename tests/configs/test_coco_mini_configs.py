"""Small data: configs beside their plain counterparts, and leaderboards."""

from argparse import Namespace
from pathlib import Path

import pytest
import torch
from config_files import (
    ROOT,
    build_model,
    make_small,
    read_config,
    train_step,
)
from mmengine.config import Config
from mmpose.registry import MODELS

from rmpe_spm.cli.arguments import apply_options, read_config_file
from rmpe_spm.leaderboard.spec import read_spec

from .test_spm_configs import SMALL, batch

RMPE = 'configs/rmpe/coco_mini/'
SPM = 'configs/spm/coco_mini/'
TRANSFORMS = ('PGPGTransform', 'GenerateCenterTarget')


@pytest.fixture
def read(repo_root):
    """Read the only config that begins with a name."""

    def read(beginning):
        (path,) = repo_root.glob(f'{beginning}[_-]*.py')
        return read_config(path)

    return read


def test_rmpe_and_plain_see_the_same(read):
    """The plain config and RMPE's two stages."""
    schedules = {'td-hm': '5e', 'pgpg': '4e', 'rmpe': '1e'}
    plain, stage_1, stage_2 = (
        read(f'{RMPE}{name}_mobilenetv2_1xb16-{epochs}')
        for name, epochs in schedules.items()
    )
    first, second = (cfg.train_cfg.max_epochs for cfg in (stage_1, stage_2))
    assert plain.train_cfg.max_epochs == first + second
    assert plain.model == stage_1.model == stage_2.model.sppe
    for cfg in (stage_1, stage_2):
        train = cfg.train_dataloader
        assert train.batch_size == plain.train_dataloader.batch_size
        kept = [t for t in train.dataset.pipeline if t.type not in TRANSFORMS]
        assert kept == plain.train_dataloader.dataset.pipeline
        assert cfg.val_dataloader == plain.val_dataloader
        assert cfg.randomness == plain.randomness
        assert [s.type for s in cfg.param_scheduler] == [
            s.type for s in plain.param_scheduler
        ]
    assert plain.optim_wrapper == stage_1.optim_wrapper
    rates = [cfg.optim_wrapper.optimizer.lr for cfg in (stage_1, stage_2)]
    assert rates[1] < rates[0]


@pytest.mark.parametrize(
    'name',
    [
        RMPE + 'rmpe_mobilenetv2_1xb16-1e',
        RMPE + 'rmpe_movenet-lightning_1xb16-1e',
        RMPE + 'rmpe_movenet-lightning_regression',
    ],
)
def test_the_localizer_sees_as_many_cells_as_the_sstn_pools(read, name):
    model = read(name).model
    width, height = model.localizer_size
    localizer = MODELS.build(model.localizer)
    with torch.no_grad():
        maps = localizer(torch.zeros(2, 3, height, width))
    pool = model.sstn.pool_size
    assert maps[-1].shape[1:] == (model.sstn.in_channels, pool[1], pool[0])


# The names of SPM's config and of its counterpart but for the method.
PAIRS = pytest.mark.parametrize(
    'folder, name',
    [
        (SPM, 'mobilenetv2_windows_1xb8'),
        (SPM, 'movenet-multipose_heads_1xb8'),
        ('configs/spm/generated/', 'mobilenetv2_1xb8'),
    ],
)


@PAIRS
def test_spm_and_dekr_see_the_same(read, folder, name):
    spm, dekr = (
        read(f'{folder}{method}_{name}') for method in ('spm', 'dekr')
    )
    for key in ('train_cfg', 'optim_wrapper', 'param_scheduler'):
        assert spm[key] == dekr[key], key
    for key in ('val_evaluator', 'randomness'):
        assert spm[key] == dekr[key], key
    assert spm.val_dataloader.dataset == dekr.val_dataloader.dataset
    assert dekr.val_dataloader.batch_size == 1  # all that it takes
    for key in ('backbone', 'data_preprocessor', 'type'):
        assert spm.model[key] == dekr.model[key], key
    for key in ('input_size', 'heatmap_size'):
        assert spm.codec[key] == dekr.codec[key], key
    pipelines = [
        [
            t.type if t.type == 'GenerateTarget' else t
            for t in cfg.train_dataloader.dataset.pipeline
        ]
        for cfg in (spm, dekr)
    ]
    assert pipelines[0] == pipelines[1]
    for cfg in (spm, dekr):
        assert cfg.train_dataloader.batch_size == 8
        assert cfg.find_unused_parameters == spm.find_unused_parameters
        test = cfg.model.test_cfg
        assert test.flip_test == spm.model.test_cfg.flip_test
        assert test.nms_dist_thr == 0.05


@PAIRS
def test_dekr_trains_and_predicts(read, folder, name):
    cfg = read(f'{folder}dekr_{name}')
    make_small(cfg._cfg_dict, **SMALL)
    torch.manual_seed(0)
    model = build_model(cfg)
    losses = train_step(cfg, model, batch(cfg, cfg.train_dataloader))
    assert {'loss/heatmap', 'loss/displacement'} <= set(losses)
    data = batch(cfg, cfg.test_dataloader)
    data = {key: values[:1] for key, values in data.items()}
    data = model.data_preprocessor(data, False)
    model.eval()
    # people everywhere: the last map is that of the roots
    torch.nn.init.constant_(model.head.heatmap_conv_layers[-1].bias, 0.5)
    with torch.no_grad():
        (result,) = model(**data, mode='predict')
    assert len(result.pred_instances) > 0
    assert result.pred_instances.keypoints.shape[1:] == (17, 2)


SMALL_DATA = [
    path.relative_to(ROOT).as_posix()
    for name in ('coco_mini', 'generated')
    for path in sorted((ROOT / 'configs').glob(f'*/{name}/*.py'))
]


@pytest.mark.parametrize('path', SMALL_DATA)
def test_data_come_from_where_they_are_said_to_be(path, monkeypatch):
    """By the environment or by an option, and all of them."""
    name = 'generated_3d' if 'generated-3d' in path else path.split('/')[2]
    default = f'data/{name}/'

    def strings(node):
        if isinstance(node, dict):
            node = list(node.values())
        if isinstance(node, (list, tuple)):
            return [text for item in node for text in strings(item)]
        return [node] if isinstance(node, str) else []

    def places(cfg):
        parts = [
            cfg[f'{part}_{kind}']
            for part in ('train', 'val', 'test')
            for kind in ('dataloader', 'evaluator')
            if f'{part}_{kind}' in cfg
        ]
        return strings(parts), cfg.val_dataloader.dataset.data_root

    texts, root = places(Config.fromfile(ROOT / path))
    old = [text for text in texts if text.startswith(default)]
    assert root.startswith(default) and old
    monkeypatch.setenv(name.upper(), '/elsewhere')
    cfg = read_config_file(ROOT / path)
    monkeypatch.delenv(name.upper())
    other = read_config_file(ROOT / path)
    args = Namespace(cfg_options=dict(data_root='/elsewhere/'))
    apply_options(other, args)
    for found, root in (places(cfg), places(other)):
        assert root.startswith('/elsewhere/')
        assert not [text for text in found if text.startswith('data/')]
        new = [text for text in found if text.startswith('/elsewhere/')]
        assert new == [text.replace(default, '/elsewhere/') for text in old]


@pytest.mark.parametrize(
    'path',
    sorted((ROOT / 'configs' / 'leaderboards').glob('*')),
    ids=lambda path: path.stem,
)
def test_lists_name_configs_that_exist(path):
    """And the checkpoints that training them leaves."""
    spec = read_spec(path)
    for model in spec.models:
        config = ROOT / model.config
        assert config.is_file(), model.config
        checkpoint = Path(model.checkpoint)
        # the demo gives each stage a folder of its own
        if checkpoint.parts[:2] != ('work_dirs', 'demo'):
            # a config that only tests in several sizes trains nothing
            trained = config.stem.replace('_multiscale', '')
            assert checkpoint.parent.name == trained
        epochs = checkpoint.stem.removeprefix('epoch_')
        assert f'-{epochs}e_' in config.stem
