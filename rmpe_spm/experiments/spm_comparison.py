"""Train bottom-up models over seeds, and compare their AP and joint errors."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from ..coco.annotations import KeypointAnnotations
from ..coco.ground_truth import make_pose_set
from ..coco.joint_errors import (
    JointErrors,
    distance_edges,
    group_joints,
    joint_errors,
    keep_common,
    mean_by_distance,
)
from ..errors import ConfigError
from ..files import read_json, write_atomically
from ..markdown import markdown_table, over_seeds
from .runs import read_config
from .tool_runs import find_coco_metric, run_test, run_training

# Name in the table -> name that COCO's evaluation gives.
METRICS = {'AP': 'coco/AP', 'AP50': 'coco/AP .5', 'AR': 'coco/AR'}
NUM_BINS = 8  # of distance from the root


class ComparedRun(NamedTuple):
    """What one model trained with one seed came to."""

    metrics: dict[str, float]
    errors: JointErrors
    train_seconds: float


def run_comparison(
    configs: Mapping[str, str],
    seeds: Sequence[int],
    work_dir: Path,
    cfg_options: Mapping[str, Any] | None = None,
) -> Path:
    """Train and test every config with every seed, and write the report.

    Nothing is evaluated before the training ends, so that no choice hangs on
    the images of the report, which is up to date after every run. ``configs``
    have a name for the report each.
    """
    ann_file = _common_annotations(configs, cfg_options or {})
    annotations = KeypointAnnotations.read(ann_file)
    names = _joint_names_of(annotations)
    annotations.check_evaluation(len(names))
    results: dict[str, list[ComparedRun]] = {}
    report = work_dir / 'report.md'
    # Seed by seed, for a fair comparison early on.
    for seed in seeds:
        for name, config in configs.items():
            folder = work_dir / name / f'seed{seed}'
            training = run_training(
                config,
                folder / 'train',
                seed,
                cfg_options,
                arguments=['--no-validate'],
            )
            test = run_test(
                config, training.checkpoint, folder / 'test', cfg_options
            )
            # A model that finds nobody has a place in the report, too.
            found = read_json(test.results_file)
            poses = make_pose_set(annotations.content, found, len(names))
            results.setdefault(name, []).append(
                ComparedRun(
                    test.metrics, joint_errors(poses), training.seconds
                )
            )
            report = write_comparison(results, names, work_dir)
    return report


def write_comparison(
    results: Mapping[str, Sequence[ComparedRun]],
    joint_names: Sequence[str],
    folder: Path,
) -> Path:
    """Write ``report.md``, a column a model, beside ``joint_errors.png``.

    Errors are of the joints that all models found with all seeds.
    """
    rows = []
    for name, key in METRICS.items():
        values = [[run.metrics[key] for run in r] for r in results.values()]
        rows.append([name, *map(over_seeds, values)])
    minutes = [[run.train_seconds / 60 for run in r] for r in results.values()]
    rows.append(['training min', *(over_seeds(m, '.1f') for m in minutes)])
    common = iter(
        keep_common([run.errors for runs in results.values() for run in runs])
    )
    errors = {
        name: [next(common) for _ in runs] for name, runs in results.items()
    }
    distances = next(iter(errors.values()))[0].root_distances
    try:
        edges = distance_edges(distances, NUM_BINS)
    except ValueError as error:  # too few joints found in common
        text = f'\nNo joint errors: {error}.\n'
    else:
        for name, columns in group_joints(joint_names).items():
            if np.isfinite(distances[:, columns]).any():
                means = [
                    [float(np.nanmean(r.errors[:, columns])) for r in runs]
                    for runs in errors.values()
                ]
                rows.append([f'error of {name}', *map(over_seeds, means)])
        text = (
            f'\nErrors are of {np.isfinite(distances).sum()} joints of '
            f'{np.isfinite(distances).any(1).sum()} people that all models '
            'found with all seeds, in units of sqrt(area).\n\n'
            '![error by distance](joint_errors.png)\n'
        )
        figure = draw_error_by_distance(errors, edges)
        figure.savefig(folder / 'joint_errors.png', dpi=100)
    return write_atomically(
        folder / 'report.md', markdown_table(['', *results], rows) + text
    )


def draw_error_by_distance(
    errors: Mapping[str, Sequence[JointErrors]], edges: np.ndarray
) -> Figure:
    """Draw mean errors by the distance from the root, a line a model."""
    distances = next(iter(errors.values()))[0].root_distances
    centers = mean_by_distance(JointErrors(distances, distances), edges)
    figure = Figure((6, 4), layout='tight')
    axis = figure.subplots()
    for name, runs in errors.items():
        means = np.array([mean_by_distance(run, edges) for run in runs])
        axis.errorbar(
            centers,
            means.mean(0),
            means.std(0, ddof=1) if len(runs) > 1 else None,
            marker='o',
            markersize=4,
            capsize=3,
            label=name,
        )
    axis.set(
        xlabel='distance of the joint from the root / sqrt(area)',
        ylabel='mean error / sqrt(area)',
        xlim=(0, None),
        ylim=(0, None),
    )
    axis.grid(alpha=0.3)
    axis.legend()
    return figure


def _joint_names_of(annotations: KeypointAnnotations) -> list[str]:
    """The joints' names that COCO annotations list."""
    for category in annotations.categories:
        if category.get('keypoints'):
            return category['keypoints']
    raise ConfigError(
        f'{annotations.source}: no category lists its keypoints by name'
    )


def _common_annotations(
    configs: Mapping[str, str], options: Mapping[str, Any]
) -> str:
    """The annotations that all configs are tested on."""
    files = {}
    for name, config in configs.items():
        _, metric = find_coco_metric(read_config(config, options))
        if not metric or not metric.get('ann_file'):
            raise ConfigError(
                f'{config}: test_evaluator has no CocoMetric with an '
                'ann_file; the joint errors need its results'
            )
        files[metric['ann_file']] = name
    if len(files) > 1:
        listed = ', '.join(f'{name} on {file}' for file, name in files.items())
        raise ConfigError(
            'models to compare must be tested on the same annotations: '
            + listed
        )
    return next(iter(files))
