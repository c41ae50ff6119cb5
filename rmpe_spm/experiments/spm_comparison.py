"""Train bottom-up models over seeds, and compare their AP and joint errors."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..coco.ground_truth import load_json, make_pose_set
from ..coco.joint_errors import (
    JointErrors,
    distance_edges,
    group_joints,
    joint_errors,
    keep_common,
    mean_by_distance,
)
from ..coco.result_checks import check_annotations
from ..errors import ConfigError
from .runs import find_coco_metric, read_config, run_test, run_training


def compare_joint_errors(
    results: Mapping[str, Sequence[JointErrors]],
    joint_names: Sequence[str],
    num_bins: int = 8,
) -> dict[str, Any]:
    """Compare the errors on the joints that all models found with all seeds.

    Args:
        results (mapping): Each model's results, one a seed, all on the same
            annotations.
        joint_names (Sequence[str]): The K joints' names.
        num_bins (int): Bins of distance from the root, with about as many
            joints in each. Defaults to 8.

    Returns:
        dict: As JSON has it, errors in units of sqrt(area):

        - ``num_people``, ``num_joints``: those that all results have
        - ``joints``: to each joint's name, and to that of each pair of left
          and right joints, ``count``, ``root_distance`` (mean), and
          ``mean`` and ``median`` with the models' errors, one a seed
        - ``root_distance``: ``edges`` and ``centers`` of the bins, and
          ``mean`` with the models' errors (seeds, bins)

    Raises:
        ValueError: If the results are not on the same annotations, or have
            fewer joints in common than bins.
    """
    flat = [result for runs in results.values() for result in runs]
    common = iter(keep_common(flat))
    kept = {
        name: [next(common) for _ in runs] for name, runs in results.items()
    }
    distances = next(iter(kept.values()))[0].root_distances
    edges = distance_edges(distances, num_bins)
    named = {name: [k] for k, name in enumerate(joint_names)}
    named = {**group_joints(joint_names), **named}
    return dict(
        num_people=int(np.isfinite(distances).any(1).sum()),
        num_joints=int(np.isfinite(distances).sum()),
        joints={
            name: _errors_of(kept, distances, columns)
            for name, columns in named.items()
        },
        root_distance=dict(
            edges=edges.tolist(),
            centers=mean_by_distance(
                JointErrors(distances, distances), edges
            ).tolist(),
            mean={
                name: [mean_by_distance(run, edges).tolist() for run in runs]
                for name, runs in kept.items()
            },
        ),
    )


def _errors_of(
    kept: Mapping[str, Sequence[JointErrors]],
    distances: np.ndarray,
    columns: Sequence[int],
) -> dict[str, Any]:
    """The part of the comparison on some joints."""
    known = np.isfinite(distances[:, columns])

    def over(reduce: Callable, values: np.ndarray) -> float | None:
        values = values[:, columns][known]
        return float(reduce(values)) if len(values) else None

    return dict(
        count=int(known.sum()),
        root_distance=over(np.mean, distances),
        **{
            key: {
                name: [over(reduce, run.errors) for run in runs]
                for name, runs in kept.items()
            }
            for key, reduce in (('mean', np.mean), ('median', np.median))
        },
    )


def error_tables(
    comparison: Mapping[str, Any], joint_names: Sequence[str]
) -> str:
    """Write the comparison as Markdown.

    Args:
        comparison (mapping): From :func:`compare_joint_errors`.
        joint_names (Sequence[str]): The K joints' names.

    Returns:
        str: A table of mean and median errors of the joints, left and right
        together, and one by distance from the root. Of several seeds the
        mean and the standard deviation are told.
    """
    by_distance = comparison['root_distance']
    models = list(by_distance['mean'])
    lines = [
        f'{comparison["num_joints"]} joints of {comparison["num_people"]} '
        'people that all models found with all seeds. Distances and errors '
        'are in units of sqrt(area).',
        '',
        *_header(['joint', 'joints', 'from root'], models, ' mean; median'),
    ]
    for name in group_joints(joint_names):
        joint = comparison['joints'][name]
        if joint['count']:
            cells = [
                f'{over_seeds(joint["mean"][model])}; '
                f'{over_seeds(joint["median"][model])}'
                for model in models
            ]
            start = [name, joint['count'], f'{joint["root_distance"]:.2f}']
            lines.append(_row([*start, *cells]))
    lines += ['', *_header(['from root'], models, ' mean')]
    edges = by_distance['edges']
    for index in range(len(edges) - 1):
        cells = [
            over_seeds([run[index] for run in by_distance['mean'][model]])
            for model in models
        ]
        span = f'{edges[index]:.2f} to {edges[index + 1]:.2f}'
        lines.append(_row([span, *cells]))
    return '\n'.join(lines) + '\n'


def over_seeds(values: Sequence[float], digits: int = 3) -> str:
    """Write the mean over seeds, and their standard deviation if several.

    Args:
        values (Sequence[float]): One value a seed.
        digits (int): After the point. Defaults to 3.

    Returns:
        str: ``0.123 ± 0.004``.
    """
    text = f'{np.mean(values):.{digits}f}'
    if len(values) > 1:
        text += f' ± {np.std(values, ddof=1):.{digits}f}'
    return text


def _header(first: list[str], models: list[str], what: str) -> list[str]:
    cells = [*first, *(model + what for model in models)]
    return [_row(cells), '|---' * len(cells) + '|']


def _row(cells: Sequence) -> str:
    return f'| {" | ".join(map(str, cells))} |'


def draw_error_by_distance(comparison: Mapping[str, Any]) -> Figure:
    """Draw the mean error against the distance from the root.

    Args:
        comparison (mapping): From :func:`compare_joint_errors`.

    Returns:
        Figure: A line a model, of the mean over seeds, with bars of one
        standard deviation.
    """
    by_distance = comparison['root_distance']
    figure = Figure((6, 4), layout='tight')
    axis = figure.subplots()
    for name, runs in by_distance['mean'].items():
        runs = np.array(runs)
        spread = runs.std(0, ddof=1) if len(runs) > 1 else None
        axis.errorbar(
            by_distance['centers'],
            runs.mean(0),
            spread,
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


METRICS = ('coco/AP', 'coco/AP .5', 'coco/AP .75', 'coco/AR')


@dataclass(frozen=True)
class SeedResult:
    """What one model trained with one seed came to.

    Attributes:
        metrics (dict): Of COCO's evaluation.
        errors (JointErrors): The errors of its joints.
        train_seconds (float): How long it trained.
    """

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
    the images of the report. What is finished is not done again, see
    :mod:`rmpe_spm.experiments.runs`; the report is there and up to date
    after every run.

    Args:
        configs (mapping): A name for the report to each config. All must be
            tested on the same annotations.
        seeds (Sequence[int]): The seeds.
        work_dir (Path): Where to; a folder ``NAME/seedN`` a run.
        cfg_options (mapping, optional): Settings that override every config.
            Defaults to None.

    Returns:
        Path: ``report.md``, beside ``report.json`` and ``joint_errors.png``.

    Raises:
        ConfigError: A config cannot be read, or they are not tested on the
            same annotations.
        RunFailedError: A run failed.
    """
    ann_file = _common_annotations(configs, cfg_options or {})
    annotations = load_json(ann_file)
    check_annotations(annotations, source=ann_file)
    names = joint_names_of(annotations, ann_file)
    check_annotations(annotations, len(names), source=ann_file)
    results: dict[str, list[SeedResult]] = {}
    report = work_dir / 'report.md'
    # Seed by seed, for a fair comparison early on.
    for seed in seeds:
        for name, config in configs.items():
            folder = work_dir / name / f'seed{seed}'
            training = run_training(
                config, folder / 'train', seed, cfg_options, validate=False
            )
            test = run_test(
                config, training.checkpoint, folder / 'test', cfg_options
            )
            # A model that finds nobody has a place in the report, too.
            found = load_json(test.results_file)
            poses = make_pose_set(annotations, found, len(names))
            results.setdefault(name, []).append(
                SeedResult(test.metrics, joint_errors(poses), training.seconds)
            )
            report = write_comparison(results, names, work_dir)
    return report


def joint_names_of(annotations: dict, source: str) -> list[str]:
    """Return the joints' names that COCO annotations list.

    Args:
        annotations (dict): Content of the annotation file.
        source (str): Where it comes from, for the message.

    Returns:
        list[str]: The names.

    Raises:
        ValueError: If no category lists its keypoints.
    """
    for category in annotations.get('categories', ()):
        if category.get('keypoints'):
            return category['keypoints']
    raise ValueError(f'{source}: no category lists its keypoints by name')


def write_comparison(
    results: Mapping[str, Sequence[SeedResult]],
    joint_names: Sequence[str],
    folder: Path,
) -> Path:
    """Write the report of the results that there are.

    Args:
        results (mapping): Each model's results, one a seed.
        joint_names (Sequence[str]): The joints' names.
        folder (Path): Where to.

    Returns:
        Path: ``report.md``, beside ``report.json`` and ``joint_errors.png``.
    """
    content: dict[str, Any] = dict(
        metrics={
            name: {
                metric: [run.metrics[metric] for run in runs]
                for metric in METRICS
            }
            for name, runs in results.items()
        },
        train_seconds={
            name: [run.train_seconds for run in runs]
            for name, runs in results.items()
        },
    )
    text = metric_table(results)
    try:
        content['joint_errors'] = compare_joint_errors(
            {n: [run.errors for run in runs] for n, runs in results.items()},
            joint_names,
        )
    except ValueError as error:  # too few joints found in common
        text += f'\nNo joint errors: {error}.\n'
    else:
        text += '\n' + error_tables(content['joint_errors'], joint_names)
        text += '\n![error by distance](joint_errors.png)\n'
        figure = draw_error_by_distance(content['joint_errors'])
        figure.savefig(folder / 'joint_errors.png', dpi=100)
    (folder / 'report.json').write_text(
        json.dumps(content, indent=1) + '\n', encoding='utf-8'
    )
    report = folder / 'report.md'
    report.write_text(text, encoding='utf-8')
    return report


def metric_table(results: Mapping[str, Sequence[SeedResult]]) -> str:
    """Write the AP and the training time as a Markdown table.

    Args:
        results (mapping): Each model's results, one a seed.

    Returns:
        str: Means over the seeds, with the standard deviation.
    """
    lines = [
        '| model | seeds | AP | AP50 | AP75 | AR | training min |',
        '|---|---|---|---|---|---|---|',
    ]
    for name, runs in results.items():
        cells = [name, str(len(runs))]
        cells += [
            over_seeds([run.metrics[metric] for run in runs])
            for metric in METRICS
        ]
        cells.append(over_seeds([run.train_seconds / 60 for run in runs], 1))
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines) + '\n'


def _common_annotations(
    configs: Mapping[str, str], options: Mapping[str, Any]
) -> str:
    """The annotations that all configs are tested on."""
    files = {}
    for name, config in configs.items():
        _, metric = find_coco_metric(read_config(config, options))
        if not metric.get('ann_file'):
            raise ConfigError(
                f'{config}: test_evaluator has no CocoMetric with an '
                'ann_file; the joint errors need its results'
            )
        files[name] = metric['ann_file']
    if len(set(files.values())) > 1:
        listed = ', '.join(f'{name} on {file}' for name, file in files.items())
        raise ConfigError(
            'models to compare must be tested on the same annotations: '
            + listed
        )
    return next(iter(files.values()))
