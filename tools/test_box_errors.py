"""Evaluate a top-down model on boxes with errors of many sizes.

The annotated boxes are shifted, scaled and truncated, and the errors of the
detections of the config's test are multiplied. Each set of boxes is a run of
tools/test.py. Prints a table; an interrupted command goes on where it stopped:

    python tools/test_box_errors.py CONFIG CHECKPOINT --work-dir FOLDER
"""

import argparse
import sys
from pathlib import Path

from rmpe_spm.cli.arguments import add_cfg_options
from rmpe_spm.cli.error_messages import report_user_errors
from rmpe_spm.experiments.box_robustness import box_curves
from rmpe_spm.markdown import markdown_table


def main(argv: list[str] | None = None) -> None:
    """Evaluate as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('config', help='config of the model and the data')
    parser.add_argument('checkpoint', help='the trained weights')
    parser.add_argument('--work-dir', type=Path, required=True)
    parser.add_argument(
        '--seed',
        type=int,
        default=0,
        help="the seed of the errors' directions",
    )
    add_cfg_options(parser, 'the config')
    args = parser.parse_args(argv)
    with report_user_errors('test_box_errors.py'):
        points = box_curves(
            args.config,
            args.checkpoint,
            args.work_dir,
            seed=args.seed,
            cfg_options=args.cfg_options,
        )
    # COCO's AP, MPII's Total
    found = points[0].metrics
    names = [key for key in found if key.endswith(('AP', '/Total'))]
    rows = [
        [point.boxes, point.kind, f'{point.size:g}']
        + [f'{point.metrics[name]:.3f}' for name in names]
        for point in points
    ]
    print(markdown_table(['boxes', 'error', 'size', *names], rows), end='')


if __name__ == '__main__':
    sys.exit(main())
