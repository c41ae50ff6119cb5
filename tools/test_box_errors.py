"""Evaluate top-down models on boxes with errors of many sizes.

The annotated boxes are shifted, scaled and truncated, and the errors of the
detections of the configs' test are multiplied. Each set of boxes is a run of
tools/test.py. Writes ``results.md``, with each model's difference from the
first, and ``robustness.png``. An interrupted command goes on where it stopped:

    python tools/test_box_errors.py PLAIN.py PLAIN.pth RMPE.py RMPE.pth \
        --work-dir FOLDER
"""

import argparse
from pathlib import Path

from rmpe_spm.cli.arguments import add_cfg_options
from rmpe_spm.cli.error_messages import report_user_errors
from rmpe_spm.experiments.box_robustness import (
    box_curves,
    compared_table,
    doubling_summary,
    draw_curves,
)
from rmpe_spm.experiments.runs import read_config
from rmpe_spm.experiments.tool_runs import run_command
from rmpe_spm.files import write_atomically


def main(argv: list[str] | None = None) -> None:
    """Evaluate as the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'models', nargs='+', help='configs, each with its checkpoint'
    )
    parser.add_argument('--work-dir', type=Path, required=True)
    parser.add_argument(
        '--names', nargs='+', help="the models' (default: the configs')"
    )
    parser.add_argument(
        '--seed',
        type=int,
        default=0,
        help="the seed of the errors' directions",
    )
    add_cfg_options(parser, 'the configs')
    args = parser.parse_args(argv)
    configs, checkpoints = args.models[::2], args.models[1::2]
    names = args.names or [Path(config).stem for config in configs]
    if len(checkpoints) != len(configs):
        parser.error('each config needs a checkpoint')
    if len(set(names)) != len(configs):
        parser.error('--names: one for each config, all different')
    with report_user_errors('test_box_errors.py'):
        curves = {
            name: box_curves(
                config,
                checkpoint,
                args.work_dir / name,
                seed=args.seed,
                cfg_options=args.cfg_options,
            )
            for name, config, checkpoint in zip(
                names, configs, checkpoints, strict=True
            )
        }
        cfg = read_config(configs[0], args.cfg_options or {})
        text = f'{compared_table(curves, cfg)}\n{doubling_summary(curves)}\n'
        write_atomically(args.work_dir / 'results.md', text)
        draw_curves(curves).savefig(args.work_dir / 'robustness.png', dpi=90)
    print(text, end='')


if __name__ == '__main__':
    run_command(main)
