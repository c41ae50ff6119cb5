"""Evaluate top-down models on boxes with errors of many sizes.

The annotated boxes are shifted, scaled and truncated, and the errors of the
detections of the first config's test are multiplied. Writes ``results.md``,
with what each model has over the first, and ``robustness.png``. What is
finished is kept as tools/leaderboard.py keeps it:

    python tools/test_box_errors.py PLAIN.py PLAIN.pth RMPE.py RMPE.pth \
        --names plain RMPE --work-dir FOLDER
"""

import argparse
from dataclasses import replace
from pathlib import Path

from rmpe_spm.cli.arguments import add_launch_arguments
from rmpe_spm.cli.error_messages import report_user_errors
from rmpe_spm.errors import ConfigError
from rmpe_spm.experiments.box_errors import AMPLIFICATION
from rmpe_spm.experiments.runs import read_config
from rmpe_spm.experiments.tool_runs import run_command
from rmpe_spm.files import write_atomically
from rmpe_spm.leaderboard.evaluate import evaluate_all
from rmpe_spm.leaderboard.robustness import (
    box_sources,
    curve_table,
    doubling_summary,
    draw_curves,
    read_curves,
)
from rmpe_spm.leaderboard.spec import spec_of_pairs


def main(argv: list[str] | None = None) -> None:
    """Evaluate as the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'models', nargs='+', help='configs, each with its checkpoint'
    )
    parser.add_argument(
        '--names', nargs='+', help="the models' (default: the configs')"
    )
    parser.add_argument(
        '--seed',
        type=int,
        default=0,
        help="the seed of the errors' directions",
    )
    parser.add_argument(
        '--rank-by', default='AP', help='the metric, for MPII: Total'
    )
    add_launch_arguments(parser)
    parser.set_defaults(work_dir='work_dirs/box_errors', rerun=False)
    args = parser.parse_args(argv)
    folder = Path(args.work_dir)
    with report_user_errors('test_box_errors.py'):
        spec = spec_of_pairs(args.models, None)
        names = args.names or [model.name for model in spec.models]
        if len(set(names)) != len(spec.models):
            raise ConfigError('--names: one for each config, all different')
        cfg = read_config(args.models[0], args.cfg_options or {})
        detections = cfg.test_dataloader.dataset.get('bbox_file')
        sources = box_sources(detections, args.seed)
        spec = replace(
            spec,
            models=tuple(
                replace(model, name=name)
                for model, name in zip(spec.models, names, strict=True)
            ),
            box_sources=tuple(dict.fromkeys(sources.values())),
        )
        rows = list(evaluate_all(spec, args, folder))
        for row in rows:
            if row.failure:
                raise ConfigError(f'{row.name}: {row.failure}')
        curves = read_curves(rows, sources, args.rank_by)
        text = curve_table(curves)
        if any(kind == AMPLIFICATION for kind, _ in sources):
            text += f'\n{doubling_summary(curves)}\n'
        write_atomically(folder / 'results.md', text)
        draw_curves(curves).savefig(folder / 'robustness.png', dpi=90)
    print(text, end='')


if __name__ == '__main__':
    run_command(main)
