import json
from copy import deepcopy

import pytest
import torch

from rmpe_spm.engine.checkpoint import load_from_local
from rmpe_spm.engine.hooks import lock_work_dir

from .conftest import as_spm

# A target for a skeleton that nobody knows.
SKELETON = dict(
    type='GenerateTarget',
    encoder=dict(
        type='HierarchicalSPRCodec',
        input_size=(48, 64),
        heatmap_size=(12, 16),
        kinematics='cocoo',
    ),
)

# A backbone that cannot take 48x64 pixels.
HOURGLASS = dict(
    _delete_=True, type='StackedHourglass', num_stacks=1, channels=8
)


@pytest.fixture
def config_file(tiny_config, tmp_path):
    def write(**changes):
        tiny_config.merge_from_dict(changes)
        path = tmp_path / 'tiny.py'
        tiny_config.dump(path)
        return str(path)

    return write


@pytest.fixture
def applied(tool, config_file):
    """The config that a command line makes."""

    def applied(*argv, **changes):
        args = tool.parse_args([config_file(**changes), *argv])
        cfg = tool.load_config(args)
        tool.apply_args(cfg, args)
        return cfg

    return applied


def test_trains_and_resumes(tool, config_file, tmp_path):
    path = config_file(log_level='INFO')
    work_dir = tmp_path / 'run'
    tool.main([path, '--work-dir', str(work_dir)])
    assert (work_dir / 'epoch_1.pth').is_file()
    (log,) = work_dir.glob('*/*.log')
    assert 'boxes: ground truth' in log.read_text()
    # Another name: mmengine keeps global state by it.
    more = ['train_cfg.max_epochs=2', f'experiment_name=r_{tmp_path.name}']
    tool.main(
        [path, '--work-dir', str(work_dir), '--resume', '--no-validate']
        + ['--cfg-options', *more]
    )
    state = torch.load(work_dir / 'epoch_2.pth', weights_only=True)
    assert state['meta']['epoch'] == 2
    (log,) = set(work_dir.glob('*/*.log')) - {log}
    assert 'resumed epoch: 1, iter: 2' in log.read_text()


def test_arguments_reach_the_config(applied):
    cfg = applied()
    assert not cfg.get('resume') and cfg.val_evaluator is not None
    cfg = applied('--resume')
    assert cfg.resume is True and cfg.load_from is None
    cfg = applied('--resume', 'some.pth')
    assert cfg.resume is True and cfg.load_from == 'some.pth'
    for options in ([], ['--cfg-options', 'val_dataloader.num_workers=1']):
        cfg = applied('--no-validate', *options)
        assert cfg.val_cfg is cfg.val_dataloader is cfg.val_evaluator is None
    cfg = applied('--amp')
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper'
    assert cfg.optim_wrapper.loss_scale == 'dynamic'
    cfg = applied('--cfg-options', 'optim_wrapper.optimizer.lr=5.0')
    assert cfg.optim_wrapper.optimizer.lr == 5
    cfg = applied(
        '--auto-scale-lr', auto_scale_lr=dict(base_batch_size=8, enable=False)
    )
    assert cfg.auto_scale_lr.enable is True


@pytest.mark.parametrize(
    'argv, changes, said',
    [
        (['--amp'], {'optim_wrapper.type': 'ApexOptimWrapper'}, '--amp'),
        (['--auto-scale-lr'], {}, 'base_batch_size'),
        (['--show-dir', 'x'], {}, 'default_hooks.visualization'),
        ([], {'train_dataloader.dataset.ann_file': 'no.json'}, 'no.json'),
        ([], {'model.head.outt_channels': 4}, "argument 'outt_channels'"),
        ([], {'optim_wrapper.optimizer.type': 'AdamX'}, 'AdamX is not in'),
        ([], {'val_evaluator.type': 'CocoMetrik'}, 'CocoMetrik is not in'),
        (
            [],
            {
                'train_dataloader.dataset.pipeline.3': SKELETON,
                'model.head.decoder': SKELETON['encoder'],
            },
            "'cocoo'",
        ),
        ([], {'model.backbone': HOURGLASS}, 'multiples of 64'),
        (['--resume', 'no.pth'], {}, 'no.pth does not exist'),
    ],
)
def test_wrong_set_up_stops_at_once(
    tool, config_file, tmp_path, refusal, argv, changes, said
):
    path = config_file(**deepcopy(changes))
    message = refusal(tool.main, path, *argv)
    assert 'train.py: error: ' in message and said in message
    assert not list(tmp_path.glob('**/*.pth'))


def test_a_lost_pointer_stops_a_resume(tool, config_file, tmp_path, refusal):
    path, good = config_file(), tmp_path / 'run' / 'epoch_1.pth'
    good.parent.mkdir()
    torch.save(dict(state_dict={}), good)
    argv = [path, '--work-dir', str(good.parent), '--resume']
    message = refusal(tool.main, *argv)
    assert 'last_checkpoint is missing' in message
    assert f'--resume {good}' in message


def test_a_second_training_in_the_folder_stops(
    tool, config_file, tmp_path, refusal
):
    argv = [config_file(), '--no-validate']
    with lock_work_dir(tmp_path):
        message = refusal(tool.main, *argv)
        assert 'another training is at work' in message
        assert not list(tmp_path.glob('*.pth'))
        tool.main([*argv, '--share-work-dir'])
    assert (tmp_path / 'epoch_1.pth').is_file()


@pytest.mark.parametrize(
    'interval', [dict(), dict(by_epoch=False, interval=1)]
)
def test_a_loss_that_is_not_finite_stops_before_a_save(
    tool, config_file, tmp_path, refusal, interval
):
    path = config_file(
        **{
            'optim_wrapper.optimizer': dict(type='SGD', lr=1e30),
            'param_scheduler': None,
            'default_hooks.checkpoint': interval,
        }
    )
    message = refusal(tool.main, path, '--no-validate')
    assert 'not finite at step 2: loss_kpt=' in message
    assert 'learning rate of 1e+30' in message
    for saved in tmp_path.glob('*.pth'):
        assert saved.name == 'iter_1.pth'
        load_from_local(str(saved))


@pytest.mark.parametrize('mode', ['topdown', 'bottomup'])
def test_one_bad_sample_does_not_stop_training(
    tool, config_file, tiny_config, tiny_coco, tmp_path, mode
):
    """Every kind of bad sample at once, beside good ones."""
    if mode == 'bottomup':
        as_spm(tiny_config)
    content = json.loads((tiny_coco / 'annotations.json').read_text())
    annotations = content['annotations']
    annotations[0]['keypoints'][0] = float('nan')
    annotations[1]['keypoints'][3:5] = [-500, 9999]
    annotations[2]['keypoints'] = [0] * 51
    annotations[2]['num_keypoints'] = 17
    annotations[3]['bbox'] = [5, 5, 0, -3]
    # An unreadable image, one that is missing, one without people.
    content['images'][2]['file_name'] = 'broken.jpg'
    content['images'][3]['file_name'] = 'missing.jpg'
    content['images'].append(
        dict(id=77, file_name='nobody.jpg', width=9, height=9)
    )
    (tiny_coco / 'images' / 'broken.jpg').write_bytes(b'\xff\xd8\xff')
    path = tmp_path / 'bad.json'
    path.write_text(json.dumps(content))
    dataset = tiny_config.train_dataloader.dataset
    dataset.ann_file = str(path)
    dataset.pipeline[0] = dict(type='LoadImageOrSkip')
    dataset.pipeline.insert(1, dict(type='SanitizeInstances'))
    tool.main([config_file(log_level='INFO'), '--no-validate'])
    state = torch.load(tmp_path / 'epoch_1.pth', weights_only=True)
    for name, tensor in state['state_dict'].items():
        assert torch.isfinite(tensor.float()).all(), name
    (log,) = tmp_path.glob('*/*.log')
    log = log.read_text()
    for said in (
        'broken.jpg (image id 3) cannot be read',
        'missing.jpg (image id 4) cannot be read',
        'annotation 1 of image',
        'annotation 2 of image',
    ):
        assert said in log, said
    assert 'nobody.jpg' not in log  # not even opened
