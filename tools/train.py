"""Train a model with mmengine's runner.

Takes the arguments of mmpose's ``tools/train.py``. Data, skeletons, codecs and
weights are checked before training starts; a set-up that cannot work ends
with one message and exit code 2.
"""

import argparse
import sys
from contextlib import ExitStack

from mmengine.config import Config

from rmpe_spm.cli.arguments import (
    add_run_arguments,
    apply_drawing,
    apply_options,
    join_cpu_processes,
    launched_rank,
    load_config,
)
from rmpe_spm.cli.error_messages import report_user_errors
from rmpe_spm.cli.preflight import build_runner
from rmpe_spm.engine.checkpoint import checkpoint_to_resume
from rmpe_spm.engine.hooks import BoxSourceHook, FiniteLossHook, lock_work_dir
from rmpe_spm.errors import ConfigError


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('config', help='config of the model and the data')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='continue from this checkpoint, or, without a value, from the '
        'latest one in the work directory',
    )
    parser.add_argument(
        '--amp', action='store_true', help='train in mixed precision'
    )
    parser.add_argument(
        '--no-validate',
        action='store_true',
        help='do not evaluate while training',
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate by the actual batch size over the '
        "config's",
    )
    parser.add_argument(
        '--share-work-dir',
        action='store_true',
        help='train even if another training is at work in the folder',
    )
    add_run_arguments(parser)
    return parser.parse_args(argv)


def apply_args(cfg: Config, args: argparse.Namespace) -> None:
    """Apply the arguments to the config, in place."""
    if args.amp:
        kind = cfg.optim_wrapper.get('type', 'OptimWrapper')
        kind = kind if isinstance(kind, str) else kind.__name__
        if kind not in ('OptimWrapper', 'AmpOptimWrapper'):
            raise ConfigError(
                f'--amp cannot take the place of optim_wrapper.type={kind!r}: '
                'use OptimWrapper or AmpOptimWrapper'
            )
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    if args.resume is not None:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise ConfigError(
                '--auto-scale-lr: the config does not say which batch size '
                'its learning rate is for: add '
                'auto_scale_lr=dict(base_batch_size=...)'
            )
        cfg.auto_scale_lr.enable = True
    apply_drawing(cfg, args)
    apply_options(cfg, args)
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None


def main(argv: list[str] | None = None) -> None:
    """Train as the command line says."""
    args = parse_args(argv)
    with report_user_errors('train.py'), ExitStack() as held:
        cfg = load_config(args)
        apply_args(cfg, args)
        if launched_rank(cfg.launcher) == 0 and not args.share_work_dir:
            held.enter_context(lock_work_dir(cfg.work_dir))
        if cfg.get('resume') and not cfg.get('load_from'):
            checkpoint = checkpoint_to_resume(cfg.work_dir)
            cfg.load_from = checkpoint and str(checkpoint)
        join_cpu_processes(cfg)
        runner = build_runner(cfg, 'train')
        runner.register_hook(BoxSourceHook())
        runner.register_hook(FiniteLossHook())
        runner.train()


if __name__ == '__main__':
    sys.exit(main())
