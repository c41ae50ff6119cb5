"""Evaluate models on data sets and write one ranked table.

    python tools/leaderboard.py configs/leaderboards/coco_mini.yaml
    python tools/leaderboard.py CONFIG CHECKPOINT [CONFIG CHECKPOINT ...] \
        --boxes config ground_truth shift:0.2

Runs what is missing, keeps every result, and goes on where it was
interrupted. Writes leaderboard.md, .csv and .html. See docs/leaderboard.md.
"""

import argparse
import sys
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import get_rank, init_dist, is_distributed

from rmpe_spm.cli.arguments import add_launch_arguments, join_cpu_processes
from rmpe_spm.cli.error_messages import report_user_errors
from rmpe_spm.errors import ConfigError
from rmpe_spm.leaderboard.evaluate import evaluate_all
from rmpe_spm.leaderboard.spec import (
    LeaderboardSpec,
    read_spec,
    spec_of_pairs,
)
from rmpe_spm.leaderboard.tables import build_tables
from rmpe_spm.leaderboard.writers import write_tables


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'what',
        nargs='+',
        help='a list (.yaml), or configs each with its checkpoint',
    )
    parser.add_argument(
        '--boxes',
        nargs='+',
        help='for configs and checkpoints, sources of boxes: config (the '
        'default), ground_truth, a detections file (.json), or an error, its '
        'size and maybe a seed (shift:0.2:0)',
    )
    parser.add_argument(
        '--rerun', action='store_true', help='run what is kept, too'
    )
    parser.add_argument(
        '--resamples',
        type=int,
        default=1000,
        help='of the images, for intervals and tests (default: %(default)s)',
    )
    add_launch_arguments(parser)
    return parser.parse_args(argv)


def read_what(args: argparse.Namespace) -> LeaderboardSpec:
    """What the command line lists."""
    if args.resamples < 1:
        raise ConfigError(f'--resamples {args.resamples}: at least 1')
    if len(args.what) == 1 and args.what[0].endswith(('.yaml', '.yml')):
        if args.boxes:
            raise ConfigError(
                f'--boxes: write them into {args.what[0]} (box_sources)'
            )
        return read_spec(args.what[0])
    return spec_of_pairs(args.what, args.boxes)


def main(argv: list[str] | None = None) -> int:
    """Make the leaderboard that the command line asks for.

    Returns:
        int: 1 if an entry failed, 130 after an interruption, else 0.
    """
    args = parse_args(argv)
    with report_user_errors('leaderboard.py'):
        spec = read_what(args)
        work_dir = Path(
            args.work_dir or spec.work_dir or 'work_dirs/leaderboard'
        )
        # the processes of a launcher meet before the first runner
        join_cpu_processes(Config(dict(launcher=args.launcher)))
        if args.launcher != 'none' and not is_distributed():
            init_dist(args.launcher)
        first = get_rank() == 0

        def say(text: str) -> None:
            if first:
                print(text, flush=True)

        rows, interrupted = [], False
        try:
            for row in evaluate_all(spec, args, work_dir, say):
                rows.append(row)
        except KeyboardInterrupt:
            interrupted = True
            say(
                'interrupted: finished entries are kept; the same command '
                'goes on'
            )
        if first and rows:
            tables = build_tables(
                rows, spec.rank_by, args.resamples, spec.pictures
            )
            for path in write_tables(
                tables, work_dir, spec.title, args.resamples
            ):
                say(f'written: {path}')
    if interrupted:
        return 130
    return int(any(row.failure for row in rows))


if __name__ == '__main__':
    sys.exit(main())
