import argparse
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from rmpe_spm.cli.arguments import (
    add_run_arguments,
    apply_drawing,
    apply_options,
    join_cpu_processes,
    load_config,
)
from rmpe_spm.errors import ConfigError


@pytest.fixture
def parse(tmp_path):
    config = tmp_path / 'tiny_model.py'
    config.write_text('work_dir = None\nmodel = dict(depth=18, stages=[1, 2])')

    def parse(*argv):
        parser = argparse.ArgumentParser()
        parser.add_argument('config')
        add_run_arguments(parser)
        return parser.parse_args([str(config), *argv])

    return parse


def test_work_dir_of_command_line_config_or_name(parse):
    args = parse()
    assert load_config(args).work_dir == str(Path('work_dirs/tiny_model'))
    Path(args.config).write_text("work_dir = 'mine'")
    assert load_config(args).work_dir == 'mine'
    args = parse('--work-dir', 'yours', '--launcher', 'slurm')
    cfg = load_config(args)
    assert (cfg.work_dir, cfg.launcher) == ('yours', 'slurm')


def test_options_override(parse):
    args = parse('--cfg-options', 'model.depth=50', 'model.stages="[3,4]"')
    cfg = load_config(args)
    apply_options(cfg, args)
    assert cfg.model.depth == 50
    assert cfg.model.stages == [3, 4]


@pytest.mark.parametrize('given', ['/mnt/coco', '/mnt/coco/'])
def test_data_root_of_the_environment(parse, monkeypatch, given):
    """Paths of configs go on after a slash, which users may leave out."""
    monkeypatch.setenv('SOMEWHERE', given)
    args = parse()
    Path(args.config).write_text(
        "data_root = '{{$SOMEWHERE:data/coco/}}'\n"
        "evaluator = dict(ann_file=data_root + 'b.json', other='/mnt/co')\n"
    )
    cfg = load_config(args)
    assert cfg.data_root == '/mnt/coco/'
    assert cfg.evaluator == dict(ann_file='/mnt/coco/b.json', other='/mnt/co')


def test_no_workers_do_not_persist(parse):
    args = parse('--cfg-options', 'train_dataloader.num_workers=0')
    loader = 'dict(num_workers=2, persistent_workers=True)'
    Path(args.config).write_text(
        f'train_dataloader = {loader}\nval_dataloader = {loader}\n'
    )
    cfg = load_config(args)
    apply_options(cfg, args)
    assert cfg.train_dataloader.persistent_workers is False
    assert cfg.val_dataloader.persistent_workers is True


def test_names_beside_a_data_root_without_slash(parse, tmp_path):
    """They begin like the paths below it."""
    beside = tmp_path / 'coco2.json'
    beside.touch()
    names = [f'{tmp_path}/coco_detections/a.json', str(beside)]
    below = [f'{tmp_path}/coco/a.json', f'{tmp_path}/cocob.json']
    args = parse()
    Path(args.config).write_text(
        f"data_root = '{tmp_path}/coco'\npaths = {names + below}\n"
    )
    cfg = load_config(args)
    assert cfg.data_root == f'{tmp_path}/coco/'
    assert cfg.paths == [*names, below[0], f'{tmp_path}/coco/b.json']


@pytest.mark.parametrize('given', ['/mnt/coco', '/mnt/coco/'])
def test_data_root_reaches_every_path(parse, given):
    args = parse('--cfg-options', f'data_root={given}', 'model.depth=50')
    Path(args.config).write_text(
        "data_root = 'data/coco/'\n"
        "other = 'some/data/coco/'\n"
        'model = dict(depth=18)\n'
        'loader = dict(dataset=dict(data_root=data_root, boxes=[\n'
        "    data_root + 'a.json', 3], pair=(data_root, None)))\n"
        "evaluators = [dict(ann_file=data_root + 'b.json')]\n"
    )
    cfg = load_config(args)
    apply_options(cfg, args)
    dataset = cfg.loader.dataset
    assert cfg.data_root == dataset.data_root == '/mnt/coco/'
    assert dataset.boxes == ['/mnt/coco/a.json', 3]
    assert dataset.pair == ('/mnt/coco/', None)
    assert cfg.evaluators[0].ann_file == '/mnt/coco/b.json'
    assert cfg.other == 'some/data/coco/'
    assert cfg.model.depth == 50


CODEC_CONFIG = """
codec = dict(type='HierarchicalSPRCodec', input_size=(64, 64), tau=7)
model = dict(head=dict(decoder=codec), other=dict(type='Codec', tau=7))
pipeline = [dict(type='LoadImage'), dict(encoder=codec)]
dataset = dict(datasets=[dict(pipeline=pipeline), dict(pipeline=pipeline)])
"""


def test_codec_reaches_encoders_and_decoder(parse):
    args = parse('--cfg-options', 'codec.tau=3')
    Path(args.config).write_text(CODEC_CONFIG)
    cfg = load_config(args)
    apply_options(cfg, args)
    encoders = [d.pipeline[1].encoder for d in cfg.dataset.datasets]
    for codec in (cfg.codec, cfg.model.head.decoder, *encoders):
        assert codec == dict(
            type='HierarchicalSPRCodec', input_size=(64, 64), tau=3
        )
    assert cfg.model.other.tau == 7


@pytest.mark.parametrize(
    'name',
    [
        'rmpe/coco/rmpe_hrnet-w32_8xb64-30e_coco-256x192.py',
        'rmpe/coco_mini/rmpe_mobilenetv2_1xb16-1e_coco_mini-128x96.py',
    ],
)
def test_codec_of_another_packages_config(parse, repo_root, name):
    """mmengine marks the dicts of mmpose's configs, but not their copies."""
    args = parse('--cfg-options', 'codec.sigma=3')
    args.config = str(repo_root / 'configs' / name)
    cfg = load_config(args)
    apply_options(cfg, args)
    pipeline = cfg.train_dataloader.dataset.pipeline
    encoders = [t.encoder for t in pipeline if 'encoder' in t]
    codecs = [cfg.codec, cfg.model.sppe.head.decoder, *encoders]
    assert [codec.sigma for codec in codecs] == [3, 3, 3, 3]


def test_a_place_of_the_codec_can_differ(parse):
    args = parse('--cfg-options', 'model.head.decoder.tau=5', 'codec.tau=3')
    Path(args.config).write_text(CODEC_CONFIG)
    cfg = load_config(args)
    apply_options(cfg, args)
    assert cfg.model.head.decoder.tau == 5
    assert cfg.pipeline[1].encoder.tau == 3


def test_options_of_an_absent_codec_are_taken(parse):
    args = parse('--cfg-options', 'codec.tau=3')
    cfg = load_config(args)
    apply_options(cfg, args)
    assert cfg.codec.tau == 3


def test_bad_option_is_told(parse):
    args = parse('--cfg-options', 'model.stages.7=1')
    with pytest.raises(ConfigError, match='--cfg-options'):
        apply_options(load_config(args), args)


@pytest.mark.parametrize(
    'text, said',
    [
        ('model = dict(', 'cannot be read'),
        ("path = '{{$RMPE_SPM_NO_SUCH_VARIABLE:}}'", 'NO_SUCH_VARIABLE'),
        ("_base_ = ['./absent.py']", 'absent.py'),
        (
            'custom_imports = dict(imports=["no_such_package"], '
            'allow_failed_imports=False)',
            'no_such_package',
        ),
    ],
)
def test_unreadable_config_is_told(parse, text, said):
    args = parse()
    Path(args.config).write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        load_config(args)
    assert args.config in str(caught.value)


def test_missing_config_is_told(parse):
    args = parse()
    Path(args.config).unlink()
    with pytest.raises(ConfigError, match='tiny_model.py does not exist'):
        load_config(args)


def test_drawing(parse):
    def config():
        hook = dict(type='PoseVisualizationHook', enable=False)
        return Config(dict(default_hooks=dict(visualization=hook)))

    cfg = config()
    apply_drawing(cfg, parse())
    assert cfg.default_hooks.visualization.enable is False
    apply_drawing(cfg, parse('--show-dir', 'drawn', '--interval', '3'))
    hook = cfg.default_hooks.visualization
    assert (hook.enable, hook.show, hook.out_dir) == (True, False, 'drawn')
    assert hook.interval == 3 and 'wait_time' not in hook
    cfg = config()
    apply_drawing(cfg, parse('--show', '--wait-time', '2'))
    assert cfg.default_hooks.visualization.show is True
    assert cfg.default_hooks.visualization.wait_time == 2
    with pytest.raises(ConfigError, match='PoseVisualizationHook'):
        apply_drawing(Config({}), parse('--show'))


def test_processes_without_gpu_meet_through_gloo(monkeypatch):
    backends = []
    monkeypatch.setattr(
        torch.distributed, 'init_process_group', backends.append
    )
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    cfg = Config(dict(launcher='pytorch'))
    join_cpu_processes(cfg)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    join_cpu_processes(Config(dict(launcher='none')))
    assert backends == [] and 'model_wrapper_cfg' not in cfg
    cfg.model_wrapper_cfg = dict(type='MMDistributedDataParallel', a=1)
    join_cpu_processes(cfg)
    assert backends == ['gloo']
    assert cfg.model_wrapper_cfg.device_ids is None
    assert cfg.model_wrapper_cfg.a == 1
    assert cfg.model_wrapper_cfg.broadcast_buffers is False
