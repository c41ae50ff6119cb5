"""What keeps the work of a training: its saves, its loss, its folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path

import torch
from mmengine.fileio import LocalBackend, get_file_backend, register_backend
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import Runner
from mmpose.registry import HOOKS

from ..errors import ConfigError
from ..files import write_atomically
from .checkpoint import nan_weights

try:
    import fcntl
except ImportError:  # not on Windows, where folders are not locked
    fcntl = None


class AtomicLocalBackend(LocalBackend):
    """Local files, each written as a whole or not at all."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to a file, which is then on the disk."""
        write_atomically(filepath, bytes(obj))


register_backend('atomic_local', AtomicLocalBackend, force=True)


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """mmengine's hook, which never has fewer checkpoints than it should.

    A checkpoint is written to a temporary file, which takes its place once it
    is on the disk; the older one (of ``max_keep_ckpts``, or the previous best)
    is removed only then, where mmengine removes it first. A full disk or a
    kill in between costs the new file alone. On other storage than local
    files only the order of removing changes.

    Args:
        **kwargs: As for :class:`mmengine.hooks.CheckpointHook`.
    """

    def before_train(self, runner: Runner) -> None:
        """Choose how files are written."""
        if self.backend_args is None and self.file_client_args is None:
            backend = get_file_backend(self.out_dir or runner.work_dir)
            if type(backend) is LocalBackend:
                self.backend_args = dict(backend='atomic_local')
        super().before_train(runner)

    def _save_checkpoint_with_step(
        self, runner: Runner, step: int, meta: dict
    ) -> None:
        with self._removing_afterwards():
            super()._save_checkpoint_with_step(runner, step, meta)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        with self._removing_afterwards():
            super()._save_best_checkpoint(runner, metrics)

    @contextmanager
    def _removing_afterwards(self) -> Iterator[None]:
        backend, outdated = self.file_backend, []
        self.file_backend = copy(backend)
        self.file_backend.remove = outdated.append
        try:
            yield
        finally:
            self.file_backend = backend
        # by iterations, the best one may have the name of the previous best
        best = getattr(self, 'best_ckpt_path_dict', {}).values()
        kept = {self.last_ckpt, getattr(self, 'best_ckpt_path', None), *best}
        for path in outdated:
            if path not in kept:
                backend.remove(path)


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stop a training whose loss is not finite, before it saves that.

    It stops when the model's weights have become NaN, at once, and else after
    some such steps in a row: mixed precision gets over a few.

    Args:
        patience (int): How many steps in a row. Defaults to 5.
    """

    def __init__(self, patience: int = 5) -> None:
        self.patience = patience
        self._steps = 0

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Raise a ConfigError, which stops the training."""
        bad = {
            name: float(value)
            for name, value in (outputs or {}).items()
            if 'loss' in name and not torch.as_tensor(value).isfinite().all()
        }
        self._steps = self._steps + 1 if bad else 0
        if not bad or not (
            self._steps >= self.patience
            or nan_weights(runner.model.state_dict())
        ):
            return
        if len(bad) > 1:
            bad.pop('loss', None)  # the sum of the terms
        terms = ', '.join(f'{name}={value}' for name, value in bad.items())
        rate = next(iter(runner.optim_wrapper.get_lr().values()))[0]
        raise ConfigError(
            f'the loss is not finite at step {runner.iter + 1}: {terms}, at '
            f'a learning rate of {rate:g}. Nothing of it was saved: go on '
            'from the last checkpoint, if there is one, with a lower '
            'optim_wrapper.optimizer.lr, or clip the gradients '
            '(optim_wrapper.clip_grad=dict(max_norm=1))'
        )


def lock_work_dir(work_dir: str | os.PathLike) -> object:
    """Keep other trainings out of a folder while the process lives.

    The lock goes when the returned file is closed, and with the process.

    Raises:
        ConfigError: Another training has the lock.
    """
    path = Path(work_dir) / '.training.lock'
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.open('a+', encoding='utf-8')
    try:
        if fcntl is not None:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        raise ConfigError(
            f'another training is at work in {work_dir} (process '
            f'{lock.read().strip() or "unknown"}): wait for it, or give '
            'another --work-dir, or --share-work-dir, where both may '
            "overwrite each other's checkpoints"
        ) from None
    except OSError:
        return lock
    lock.truncate(0)
    lock.write(f'{os.getpid()}\n')
    lock.flush()
    return lock
