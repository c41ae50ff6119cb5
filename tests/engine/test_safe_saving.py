import resource
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.runner import Runner
from torch import nn

from rmpe_spm.engine.checkpoint import load_from_local
from rmpe_spm.engine.hooks import (
    FiniteLossHook,
    SafeCheckpointHook,
    lock_work_dir,
)
from rmpe_spm.errors import ConfigError


def checkpoints(folder):
    return sorted(path.name for path in folder.glob('*.pth'))


@pytest.fixture
def config(tiny_config):
    """Two epochs, of which the last checkpoint and the best are kept."""
    tiny_config.train_cfg.max_epochs = 2
    tiny_config.default_hooks.checkpoint.update(
        type='SafeCheckpointHook', interval=1, max_keep_ckpts=1
    )
    return tiny_config


def test_one_checkpoint_is_kept(config, tmp_path):
    Runner.from_cfg(config).train()
    (best,) = tmp_path.glob('best_*.pth')
    assert checkpoints(tmp_path) == [best.name, 'epoch_2.pth']
    for path in (best, tmp_path / 'epoch_2.pth'):
        assert load_from_local(str(path))['state_dict']
    assert not list(tmp_path.glob('.*.part'))
    pointer = (tmp_path / 'last_checkpoint').read_text()
    assert pointer == str(tmp_path / 'epoch_2.pth')


def test_a_full_disk_leaves_the_last_good_checkpoint(config, tmp_path):
    del config.default_hooks.checkpoint['save_best']
    runner = Runner.from_cfg(config)
    save = runner.save_checkpoint
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def save_on_a_full_disk(out_dir, filename, *args, **kwargs):
        if filename == 'epoch_2.pth':
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
        return save(out_dir, filename, *args, **kwargs)

    runner.save_checkpoint = save_on_a_full_disk
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with pytest.raises(OSError, match='File too large'):
            runner.train()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert checkpoints(tmp_path) == ['epoch_1.pth']
    assert load_from_local(str(tmp_path / 'epoch_1.pth'))['optimizer']
    assert not list(tmp_path.glob('.*.part'))
    pointer = (tmp_path / 'last_checkpoint').read_text()
    assert pointer == str(tmp_path / 'epoch_1.pth')


def test_a_best_checkpoint_of_the_same_name_stays(tmp_path):
    """By iterations, several validations may be in one epoch."""
    hook = SafeCheckpointHook(save_best='AP', rule='greater')
    path = tmp_path / 'best_AP_epoch_0.pth'
    messages = SimpleNamespace(runtime_info={})
    messages.get_info = messages.runtime_info.get
    messages.update_info = messages.runtime_info.__setitem__
    runner = SimpleNamespace(
        work_dir=str(tmp_path), message_hub=messages, epoch=0, iter=7
    )
    runner.logger = SimpleNamespace(info=lambda text: None)
    runner.save_checkpoint = lambda out_dir, filename, **_: Path(
        out_dir, filename
    ).write_text(str(runner.score))
    hook.before_train(runner)
    for runner.score in (0.25, 0.5, 0.375):
        hook.after_val_epoch(runner, dict(AP=runner.score))
    assert path.read_text() == '0.5'


def losing(weight, patience=3):
    """A hook, and what gives it the losses of steps."""
    model = nn.Linear(1, 1)
    nn.init.constant_(model.weight, weight)
    rate = SimpleNamespace(get_lr=lambda: dict(lr=[0.5]))
    runner = SimpleNamespace(model=model, optim_wrapper=rate, iter=0)
    hook = FiniteLossHook(patience)

    def step(**losses):
        hook.after_train_iter(
            runner, 0, None, {k: torch.tensor(v) for k, v in losses.items()}
        )
        runner.iter += 1

    return step


def test_a_loss_that_stays_infinite_stops_the_training():
    step, nan, inf = losing(1.0), float('nan'), float('inf')
    step(loss=1.0, loss_kpt=1.0, acc_pose=nan)  # no joint is visible
    for _ in range(2):  # mixed precision skips such steps
        step(loss=inf, loss_kpt=inf)
    for _ in range(2):
        step(loss=1.0, loss_kpt=1.0)
        step(loss=nan, loss_kpt=nan)
        step(loss=nan, loss_kpt=nan)
    said = r'at step 10: loss_kpt=inf, at a learning rate of 0\.5\. '
    with pytest.raises(ConfigError, match=said):
        step(loss=inf, loss_kpt=inf, loss_center=2.0)
    with pytest.raises(ConfigError, match='at step 1: loss=nan, at'):
        losing(nan)(loss=nan)


HOLD = """
import sys, time
from rmpe_spm.engine.hooks import lock_work_dir
lock = lock_work_dir(sys.argv[1])
print('locked', flush=True)
time.sleep(60)
"""


def test_one_training_a_folder(tmp_path):
    folder = tmp_path / 'run'
    command = [sys.executable, '-W', 'ignore', '-c', HOLD, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        while 'locked' not in first.stdout.readline():
            assert first.poll() is None
        said = rf'in {folder} \(process {first.pid}\).*--share-work-dir'
        with pytest.raises(ConfigError, match=said):
            lock_work_dir(folder)
        first.kill()
    lock_work_dir(folder).close()  # nothing stale is left
    with lock_work_dir(folder), pytest.raises(ConfigError):
        lock_work_dir(folder)
