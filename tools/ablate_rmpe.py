"""Train and evaluate RMPE part by part: the paper's table 3.

From the configs of its two stages, over several seeds: the plain two-step
model, with jitter, with PGPG, with SSTN, with the parallel SPPE, with pose
NMS, and on annotated boxes. Writes ``results.md``. An interrupted command
continues where it stopped:

    python tools/ablate_rmpe.py STAGE1.py STAGE2.py --work-dir work_dirs/rmpe

With ``--redundant-boxes``, a file of tools/make_redundant_boxes.py, the pose
NMS also shows what it is worth where it is needed.
"""

import argparse
import shlex
import sys
from pathlib import Path

from rmpe_spm.cli.arguments import add_cfg_options
from rmpe_spm.cli.error_messages import report_user_errors
from rmpe_spm.experiments.rmpe_ablation import ablation_table, run_ablation
from rmpe_spm.experiments.tool_runs import run_command
from rmpe_spm.files import write_atomically


def main(argv: list[str] | None = None) -> None:
    """Run the ablation as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('stage1', help='config of the SPPE with PGPG')
    parser.add_argument('stage2', help='config of ParallelSPPE')
    parser.add_argument('--work-dir', type=Path, required=True)
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument(
        '--redundant-boxes',
        help='evaluate the plain model and RMPE on these boxes, too',
    )
    add_cfg_options(parser, 'both configs')
    args = parser.parse_args(argv)
    words = sys.argv[1:] if argv is None else argv
    command = shlex.join(['python', 'tools/ablate_rmpe.py', *words])
    results = []
    with report_user_errors('ablate_rmpe.py'):
        for result in run_ablation(
            args.stage1,
            args.stage2,
            args.work_dir,
            args.seeds,
            args.cfg_options,
            args.redundant_boxes,
        ):
            results.append(result)
            table = ablation_table(results)
            page = write_atomically(
                args.work_dir / 'results.md',
                f'# RMPE, part by part\n\n`{command}`\n\n{table}',
            )
            print(f'\n{table}\n{page}', flush=True)


if __name__ == '__main__':
    run_command(main)
