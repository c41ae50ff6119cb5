"""Train RMPE in its two stages, one after the other.

Stage 1 fine-tunes the SPPE on the proposals of PGPG; stage 2 starts from its
last weights and adds SSTN and the parallel branch. Both run tools/train.py,
and an interrupted command continues where it stopped.
"""

import argparse
from pathlib import Path

from rmpe_spm.cli.arguments import add_cfg_options
from rmpe_spm.cli.error_messages import report_user_errors
from rmpe_spm.experiments.tool_runs import run_command, run_training


def main(argv: list[str] | None = None) -> None:
    """Train as the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n')[0],
        epilog='Further arguments go to tools/train.py in both stages.',
    )
    parser.add_argument('stage1', help='config of the SPPE with PGPG')
    parser.add_argument('stage2', help='config of ParallelSPPE')
    parser.add_argument('--work-dir', type=Path, required=True)
    add_cfg_options(parser, 'both configs')
    args, others = parser.parse_known_args(argv)
    weights = None
    with report_user_errors('train_rmpe.py'):
        for name, config in (('stage1', args.stage1), ('stage2', args.stage2)):
            weights = run_training(
                config,
                args.work_dir / name,
                cfg_options=args.cfg_options,
                load_from=weights,
                arguments=others,
            ).checkpoint
            print(f'{name}: {weights}', flush=True)


if __name__ == '__main__':
    run_command(main)
