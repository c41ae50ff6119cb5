"""Compare SPM with DEKR, and its hierarchical form with the flat one.

Trains every config with every seed, evaluates each, and reports AP and the
errors of the joints, by joint and by distance from the root::

    python tools/compare_spm.py \
        hierarchical=configs/spm/coco_mini/NAME.py \
        flat=configs/spm/coco_mini/NAME_FLAT.py \
        --seeds 0 1 2 --work-dir work_dirs/compare_spm

The work directory gets ``report.md`` and ``joint_errors.png``. An interrupted
command goes on where it stopped, and another seed or config only adds its own
runs.
"""

import argparse
from pathlib import Path

from rmpe_spm.cli.arguments import add_cfg_options
from rmpe_spm.cli.error_messages import report_user_errors
from rmpe_spm.experiments.spm_comparison import run_comparison
from rmpe_spm.experiments.tool_runs import run_command


def named_config(text: str) -> tuple[str, str]:
    """Split NAME=CONFIG."""
    name, _, config = text.partition('=')
    if not config or '/' in name:
        raise argparse.ArgumentTypeError(f'{text!r} is not NAME=CONFIG')
    return name, config


def main(argv: list[str] | None = None) -> None:
    """Compare as the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'configs',
        nargs='+',
        type=named_config,
        metavar='NAME=CONFIG',
        help='a name for the report, and the config',
    )
    parser.add_argument(
        '--seeds',
        nargs='+',
        type=int,
        default=[0, 1, 2],
        help='default: 0 1 2',
    )
    parser.add_argument(
        '--work-dir', type=Path, default=Path('work_dirs/compare_spm')
    )
    add_cfg_options(parser, 'every config')
    args = parser.parse_args(argv)
    if len(dict(args.configs)) < len(args.configs):
        parser.error('two configs have the same name')
    with report_user_errors('compare_spm.py'):
        report = run_comparison(
            dict(args.configs), args.seeds, args.work_dir, args.cfg_options
        )
        print(f'\n{report.read_text(encoding="utf-8")}\nWritten to {report}')


if __name__ == '__main__':
    run_command(main)
