"""Train bottom-up models over seeds, and compare their AP and joint errors."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..evaluation.functional.coco_checks import check_annotations
from ..evaluation.functional.coco_poses import load_json, make_pose_set
from ..evaluation.functional.joint_errors import JointErrors, joint_errors
from ..evaluation.joint_error_report import (
    compare_joint_errors,
    draw_error_by_distance,
    error_tables,
    over_seeds,
)
from .annotation_check import ConfigError
from .run_inputs import find_coco_metric, read_config
from .seeded_runs import run_test, run_training

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
    :mod:`rmpe_spm.apis.seeded_runs`; the report is there and up to date
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
