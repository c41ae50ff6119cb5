"""Train and evaluate RMPE part by part: the table and the curves.

From the configs of its two stages, over several seeds: the plain two-step
model, with jitter, with PGPG, with SSTN, with the parallel SPPE, with pose
NMS, and on annotated boxes; and AP against the size of the box errors. Writes
``results.md``, ``results.json`` and ``robustness.png``. An interrupted
command continues where it stopped:

    python tools/ablate_rmpe.py STAGE1.py STAGE2.py --work-dir work_dirs/rmpe
"""

import argparse
import datetime
import platform
import shlex
import signal
import sys
from pathlib import Path

import torch

from rmpe_spm.cli.arguments import OptionAction
from rmpe_spm.cli.error_messages import report_user_errors
from rmpe_spm.experiments.rmpe_ablation import read_stages, run_ablation
from rmpe_spm.experiments.rmpe_ablation_report import (
    ablation_table,
    write_report,
)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('stage1', help='config of the SPPE with PGPG')
    parser.add_argument('stage2', help='config of ParallelSPPE')
    parser.add_argument('--work-dir', type=Path, required=True)
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionAction,
        help='settings that override both configs, as key=value',
    )
    return parser.parse_args(argv)


def describe(args: argparse.Namespace, command: str) -> str:
    """Say what is run, with what budget, where and when."""
    stages = read_stages(args.stage1, args.stage2, args.cfg_options)
    epochs = [cfg.train_cfg.max_epochs for cfg in stages]
    device = f'{platform.machine()} CPU, {torch.get_num_threads()} threads'
    if torch.cuda.is_available():
        device = torch.cuda.get_device_name()
    return (
        f'`{command}`\n\n'
        f'Mean and standard deviation over the seeds. Every row is trained '
        f'for the same {epochs[0]} + {epochs[1]} epochs with the optimisers '
        'of stages 1 and 2; SSTN and the parallel SPPE join in stage 2. '
        "Boxes are the detector's, but for the oracle. Jitter (uniform, IoU "
        'at least 0.5) takes the place of PGPG. Made on '
        f'{datetime.date.today().isoformat()} with torch {torch.__version__}, '
        f'{device}.'
    )


def main(argv: list[str] | None = None) -> int:
    """Run the ablation as the command line says."""
    args = parse_args(argv)
    arguments = sys.argv[1:] if argv is None else argv
    command = shlex.join(['python', 'tools/ablate_rmpe.py', *arguments])
    results = []
    try:
        with report_user_errors('ablate_rmpe.py'):
            setting = describe(args, command)
            for result in run_ablation(
                args.stage1,
                args.stage2,
                args.work_dir,
                args.seeds,
                args.cfg_options,
            ):
                results.append(result)
                page = write_report(results, args.work_dir, setting)
                print(f'\n{ablation_table(results)}\n{page}', flush=True)
    except KeyboardInterrupt:
        print(f'\nInterrupted. To go on:\n  {command}', file=sys.stderr)
        return 130
    return 0


if __name__ == '__main__':
    # kill, timeout and schedulers: end the trainings too, as Ctrl-C does
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
