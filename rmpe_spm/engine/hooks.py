"""Hooks: what keeps the work of a training, tells its boxes, and is quick."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from copy import copy
from pathlib import Path
from typing import Any

import torch
from mmcv.cnn import fuse_conv_bn
from mmengine.fileio import LocalBackend, get_file_backend, register_backend
from mmengine.hooks import CheckpointHook, EMAHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmpose.registry import HOOKS, TRANSFORMS
from torch import nn

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


GROUND_TRUTH = 'ground truth'
SINGLE_STAGE = 'none (single stage)'
GROUPS = "group's place and scale (annotated)"


def detections_name(file: str, filters: Mapping | None) -> str:
    """Name a file of detections, and what of it a ``filter_cfg`` leaves."""
    score_thr = (filters or {}).get('bbox_score_thr')
    chosen = '' if score_thr is None else f' (score >= {score_thr:g})'
    return f'detections {Path(file).name}{chosen}'


def box_source_name(dataset: Any) -> str:
    """Tell where the people's boxes of a built data set come from."""
    if hasattr(dataset, 'datasets'):
        names = dict.fromkeys(map(box_source_name, dataset.datasets))
        return ' and '.join(names)
    if hasattr(dataset, 'dataset'):
        return box_source_name(dataset.dataset)
    mode = getattr(dataset, 'data_mode', None)
    if mode is None:
        return f'unknown ({type(dataset).__name__} does not tell)'
    if mode == 'bottomup':
        crop = TRANSFORMS.get('GroupAffine')
        steps = dataset.pipeline.transforms
        groups = any(isinstance(step, crop) for step in steps)
        return GROUPS if groups else SINGLE_STAGE
    if not dataset.bbox_file:
        return GROUND_TRUTH
    return detections_name(dataset.bbox_file, dataset.filter_cfg)


@HOOKS.register_module()
class BoxSourceHook(Hook):
    """Say beside the metrics where the people's boxes came from.

    A top-down model's numbers on annotated and on detected boxes do not
    compare. Whatever evaluates, the metrics get an entry ``boxes``, such as
    ``'ground truth'``, ``'detections found.json (score >= 0.1)'`` or
    ``'none (single stage)'``: in the log of a test, in its JSON file, and in
    what the runner returns. After a validation it is a line of the log.
    """

    # before RuntimeInfoHook, which hands the metrics on to the log
    priority = 'HIGHEST'

    def after_val_epoch(
        self, runner: Runner, metrics: dict | None = None
    ) -> None:
        """Add the source, and log it, which the runner does for tests only."""
        if metrics is not None:
            metrics['boxes'] = box_source_name(runner.val_dataloader.dataset)
            runner.logger.info(f'boxes: {metrics["boxes"]}')

    def after_test_epoch(
        self, runner: Runner, metrics: dict | None = None
    ) -> None:
        """Add the source."""
        if metrics is not None:
            loader = runner.test_loop.dataloader
            metrics['boxes'] = box_source_name(loader.dataset)


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Keep the weights of all convolutions in ``torch.channels_last``.

    Convolutions then compute in that memory format, in which a CPU is
    faster, whatever their input's is. The values do not change.
    """

    priority = 'VERY_HIGH'

    def before_run(self, runner: Runner) -> None:
        """Convert the weights once, before anything runs."""
        runner.model.to(memory_format=torch.channels_last)


@contextmanager
def folded_norms(model: nn.Module) -> Iterator[None]:
    """Fold a model's batch normalisation into its convolutions for a while.

    It is mmcv's ``fuse_conv_bn``, for a model in evaluation mode. Afterwards
    the model has its own layers and weights again, the same objects.
    """
    own = [
        (entries, dict(entries))
        for module in model.modules()
        for entries in (module._modules, module._parameters)
    ]
    try:
        fuse_conv_bn(model)
        yield
    finally:
        for entries, before in own:
            entries.clear()
            entries.update(before)


@HOOKS.register_module()
class FuseConvBNHook(Hook):
    """Fold batch normalisation into convolutions for the time of a test.

    At test it is a fixed affine map of each channel, which the convolution in
    front of it can do for nothing: the predictions are the same but for
    rounding. Nothing is changed while training, nor in checkpoints, and after
    the test the model is as it was.

    It takes a normalisation for that of the convolution registered just
    before it in the same module, as mmpose's backbones and mmcv's
    ``ConvModule`` with its default order have them. Where a network
    normalises before it convolves, don't use it. Beside an ``EMAHook``, which
    exchanges the model's weights within the test, nothing is folded, and the
    log says so.
    """

    def __init__(self) -> None:
        self._folded = ExitStack()

    def before_test(self, runner: Runner) -> None:
        """Change the model, which has its weights by now."""
        if any(isinstance(hook, EMAHook) for hook in runner.hooks):
            runner.logger.warning(
                'FuseConvBNHook folds nothing beside an EMAHook'
            )
            return
        model = runner.model
        self._folded.enter_context(
            folded_norms(model.module if is_model_wrapper(model) else model)
        )

    def after_test(self, runner: Runner) -> None:
        """Give the model its own layers back."""
        self._folded.close()
