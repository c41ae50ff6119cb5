import argparse
from pathlib import Path

import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st
from mmengine.config import Config

from rmpe_spm.cli.arguments import (
    OptionAction,
    add_run_arguments,
    apply_drawing,
    apply_options,
    as_arguments,
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


@pytest.fixture
def applied(parse, repo_root):
    """The config of a text, or of a file of ours, with options applied."""

    def applied(*options, text=None, name=None):
        args = parse('--cfg-options', *options)
        if text is not None:
            Path(args.config).write_text(text)
        if name is not None:
            args.config = str(repo_root / 'configs' / name)
        cfg = load_config(args)
        apply_options(cfg, args)
        return cfg

    return applied


def test_work_dir_of_command_line_config_or_name(parse):
    args = parse()
    assert load_config(args).work_dir == str(Path('work_dirs/tiny_model'))
    Path(args.config).write_text("work_dir = 'mine'")
    assert load_config(args).work_dir == 'mine'
    args = parse('--work-dir', 'yours', '--launcher', 'slurm')
    cfg = load_config(args)
    assert (cfg.work_dir, cfg.launcher) == ('yours', 'slurm')


def test_options_override(applied):
    cfg = applied('model.depth=50', 'model.stages=[3,4]', 'codec.tau=3')
    assert cfg.model.depth == 50
    assert cfg.model.stages == [3, 4]
    assert cfg.codec.tau == 3  # of which there was none
    with pytest.raises(ConfigError, match='--cfg-options'):
        applied('model.stages.7=1')


def test_no_workers_do_not_persist(applied):
    loader = 'dict(num_workers=2, persistent_workers=True)'
    cfg = applied(
        'train_dataloader.num_workers=0',
        text=f'train_dataloader = {loader}\nval_dataloader = {loader}\n',
    )
    assert cfg.train_dataloader.persistent_workers is False
    assert cfg.val_dataloader.persistent_workers is True


@pytest.mark.parametrize('given', ['/mnt/coco', '/mnt/coco/'])
@pytest.mark.parametrize(
    'name',
    [
        'rmpe/generated/pgpg_mobilenetv2_1xb16-8e_generated-128x96.py',
        'spm/generated/spm_mobilenetv2_1xb8-12e_generated-320x256.py',
        'rmpe/coco_mini/td-hm_mobilenetv2_1xb16-5e_coco_mini-128x96.py',
        'spm/coco_mini/spm_mobilenetv2_windows_1xb8-16e_coco_mini-256x256.py',
    ],
)
def test_data_root_of_the_environment(applied, monkeypatch, name, given):
    """Paths of configs go on after a slash, which users may leave out."""
    for variable in ('GENERATED', 'COCO_MINI'):
        monkeypatch.setenv(variable, given)
    path = Path(applied('log_level=INFO', name=name).val_evaluator.ann_file)
    assert path.is_relative_to('/mnt/coco')


@pytest.mark.parametrize('given', ['/mnt/coco', '/mnt/coco/'])
def test_data_root_reaches_every_path(applied, given):
    cfg = applied(
        f'data_root={given}',
        'model.depth=50',
        text="data_root = 'data/coco/'\n"
        "other = 'some/data/coco/'\n"
        'model = dict(depth=18)\n'
        'loader = dict(dataset=dict(data_root=data_root, boxes=[\n'
        "    data_root + 'a.json', 3], pair=(data_root, None)))\n"
        "evaluators = [dict(ann_file=data_root + 'b.json')]\n",
    )
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


def test_codec_reaches_encoders_and_decoder(applied):
    cfg = applied('codec.tau=3', text=CODEC_CONFIG)
    encoders = [d.pipeline[1].encoder for d in cfg.dataset.datasets]
    for codec in (cfg.codec, cfg.model.head.decoder, *encoders):
        assert codec == dict(
            type='HierarchicalSPRCodec', input_size=(64, 64), tau=3
        )
    assert cfg.model.other.tau == 7
    # but one place may differ
    options = 'model.head.decoder.tau=5', 'codec.tau=3'
    cfg = applied(*options, text=CODEC_CONFIG)
    assert cfg.model.head.decoder.tau == 5
    assert cfg.pipeline[1].encoder.tau == 3


@pytest.mark.parametrize(
    'name',
    [
        'rmpe/coco/rmpe_hrnet-w32_8xb64-30e_coco-256x192.py',
        'rmpe/coco_mini/rmpe_mobilenetv2_1xb16-1e_coco_mini-128x96.py',
    ],
)
def test_codec_of_another_packages_config(applied, name):
    """mmengine marks the dicts of mmpose's configs, but not their copies."""
    cfg = applied('codec.sigma=3', name=name)
    pipeline = cfg.train_dataloader.dataset.pipeline
    encoders = [t.encoder for t in pipeline if 'encoder' in t]
    codecs = [cfg.codec, cfg.model.sppe.head.decoder, *encoders]
    assert [codec.sigma for codec in codecs] == [3, 3, 3, 3]


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
        (None, 'does not exist'),
    ],
)
def test_unreadable_config_is_told(parse, text, said):
    args = parse()
    Path(args.config).unlink()
    if text is not None:
        Path(args.config).write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        load_config(args)
    assert args.config in str(caught.value)


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


def parse_options(*settings):
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=OptionAction)
    return parser.parse_args(['--cfg-options', *settings]).cfg_options


@pytest.mark.parametrize(
    'text, value',
    [
        ('3', 3),
        ('1e-3', 0.001),
        ('True', True),
        ('None', None),
        ('a,b', ['a', 'b']),
        ('[(1,2),(3,4)]', [(1, 2), (3, 4)]),
        ('[3, 4]', [3, 4]),
        ('"[3, 4]"', '[3, 4]'),
        ("'plain'", 'plain'),
        ('path=with=signs', 'path=with=signs'),
        ("'a','b'", ['a', 'b']),
        ('"a", "b"', ['a', 'b']),
        (' 0.5', 0.5),
        ('True ', True),
        ('None ', None),
        # unlike mmengine, which drops the blanks
        ('my runs/a.pth', 'my runs/a.pth'),
        ("'my runs, 2/a.pth'", 'my runs, 2/a.pth'),
        ('"it\'s, here"', "it's, here"),
    ],
)
def test_values(text, value):
    assert parse_options(f'key={text}', 'other=1') == dict(key=value, other=1)


def test_a_setting_without_a_value(capsys):
    with pytest.raises(SystemExit):
        parse_options('key=1', 'plain')
    said = capsys.readouterr().err
    assert "argument --cfg-options: 'plain' is no key=value" in said


@pytest.mark.parametrize(
    'value',
    [
        2,
        -0.5,
        False,
        None,
        '/home/me/my runs, 2/epoch_8.pth',
        Path('my runs'),
        ['a', 'b'],
        ['a b', 'c, d'],
        [1, [2, 3]],
        [],
        dict(type='SyncBN', momentum=0.1),
    ],
)
def test_there_and_back(value):
    known = str(value) if isinstance(value, Path) else value
    assert parse_options(*as_arguments({'a.b': value})) == {'a.b': known}


@given_any(st.text(st.sampled_from('ab ,=/.[]()\'"1'), min_size=1))
def test_text_comes_back(text):
    assert parse_options(*as_arguments({'key': text})) == {'key': text}
