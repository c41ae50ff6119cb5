"""Evaluate a checkpoint with mmengine's runner.

Takes the arguments of mmpose's ``tools/test.py``. Data, skeletons and weights
are checked first; a set-up that cannot work ends with one message and exit
code 2.
"""

import argparse
import sys

from mmengine.config import Config
from mmengine.fileio import dump

from rmpe_spm.cli.arguments import (
    add_run_arguments,
    apply_drawing,
    apply_options,
    join_cpu_processes,
    load_config,
    require_hook,
)
from rmpe_spm.cli.error_messages import report_user_errors
from rmpe_spm.cli.preflight import build_runner
from rmpe_spm.engine.hooks import BoxSourceHook
from rmpe_spm.errors import ConfigError

OUT_FORMATS = ('.json', '.yml', '.yaml', '.pkl', '.pickle')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('config', help='config of the model and the data')
    parser.add_argument('checkpoint', help='the trained weights')
    parser.add_argument(
        '--out',
        help='file for the metrics and the source of boxes (.json, .yml)',
    )
    parser.add_argument('--dump', help='file for the predictions (.pkl)')
    parser.add_argument(
        '--badcase', action='store_true', help='collect the worst samples'
    )
    add_run_arguments(parser)
    return parser.parse_args(argv)


def apply_args(cfg: Config, args: argparse.Namespace) -> None:
    """Apply the arguments to the config, in place."""
    cfg.load_from = args.checkpoint
    cfg.resume = False
    if args.badcase:
        _collect_badcases(cfg, args)
    else:
        apply_drawing(cfg, args)
    if args.dump is not None:
        if not args.dump.endswith(('.pkl', '.pickle')):
            raise ConfigError(f'--dump {args.dump}: must end in .pkl')
        evaluators = cfg.test_evaluator
        if isinstance(evaluators, dict):
            evaluators = [evaluators]
        cfg.test_evaluator = [
            *evaluators,
            dict(type='DumpResults', out_file_path=args.dump),
        ]
    if args.out is not None and not args.out.endswith(OUT_FORMATS):
        raise ConfigError(
            f'--out {args.out}: must end in {", ".join(OUT_FORMATS)}'
        )
    apply_options(cfg, args)


def _collect_badcases(cfg: Config, args: argparse.Namespace) -> None:
    hook = require_hook(cfg, 'badcase', 'BadCaseAnalysisHook')
    by_loss = hook.get('metric_type', 'loss') == 'loss'
    metric = cfg.model.head.get('loss') if by_loss else cfg.test_evaluator
    hook.update(
        enable=True,
        show=args.show,
        interval=args.interval,
        metric=hook.get('metric') or metric,
    )
    if args.show:
        hook.wait_time = args.wait_time
    if args.show_dir is not None:
        hook.out_dir = args.show_dir


def main(argv: list[str] | None = None) -> None:
    """Evaluate as the command line says."""
    args = parse_args(argv)
    with report_user_errors('test.py'):
        cfg = load_config(args)
        apply_args(cfg, args)
        join_cpu_processes(cfg)
        runner = build_runner(cfg, 'test')
        runner.register_hook(BoxSourceHook())
        metrics = runner.test()
        if args.out and runner.rank == 0:
            dump(metrics, args.out)


if __name__ == '__main__':
    sys.exit(main())
