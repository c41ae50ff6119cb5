"""Train bottom-up models over seeds, and compare their AP and joint errors.

AP says whether poses are good; the errors say which of their joints are not. A
representation that reaches joints by vectors from the root errs more the
further away a joint is, and a chain of short vectors may err less.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from ..coco.annotations import KeypointAnnotations
from ..coco.ground_truth import ImageGroundTruth, PoseSet, make_pose_set
from ..errors import ConfigError
from ..files import read_json, write_atomically
from ..markdown import markdown_table, over_seeds
from .runs import read_config
from .tool_runs import find_coco_metric, run_test, run_training

# A person whose other labelled joints are fewer has no centre to speak of.
MIN_OTHER_JOINTS = 3


@dataclass(frozen=True)
class JointErrors:
    r"""Errors (P, K) in units of :math:`\sqrt{area}`, NaN where unknown.

    Beside them are the distances of annotated joints from their person's
    root, the mean of the labelled joints.
    """

    errors: np.ndarray
    root_distances: np.ndarray


def match_by_other_joints(
    keypoints: np.ndarray,
    scores: np.ndarray,
    truth: ImageGroundTruth,
    max_distance: float = 0.5,
) -> np.ndarray:
    r"""Match poses (N, K, 2) with people, for each joint by all the others.

    A pose and a person are as far apart as the means of their joints that are
    labelled, in units of :math:`\sqrt{area}`. Best score first, each pose
    takes the nearest person that is still free and in reach. For the error of
    joint j the means leave j out, so that no error of j, however large,
    decides whether it is counted. Matching by OKS would count joints only
    where they are good, and make a method with large errors look better.

    Returns for each joint and person the index of the pose (K, G), or -1.
    """
    labelled = truth.keypoints[..., 2] > 0
    num_people, num_joints = labelled.shape
    others = labelled.sum(1, keepdims=True) - labelled
    offsets = keypoints[:, None] - truth.keypoints[None, ..., :2]
    offsets = np.where(labelled[..., None], offsets, 0.0)
    without = offsets.sum(2, keepdims=True) - offsets
    distances = np.linalg.norm(without, axis=-1)
    with np.errstate(divide='ignore', invalid='ignore'):
        distances /= others * np.sqrt(truth.areas)[:, None]
    # (N, G, K), infinite where there is nothing to match
    usable = (truth.areas > 0) & ~truth.ignored
    can_match = (others >= MIN_OTHER_JOINTS) & usable[:, None]
    in_reach = can_match & (distances <= max_distance)
    distances = np.where(in_reach, distances, np.inf)

    matches = np.full((num_joints, num_people), -1)
    if num_people == 0:
        return matches
    joints = np.arange(num_joints)
    for index in np.argsort(-np.asarray(scores), kind='stable'):
        free = np.where(matches < 0, distances[index].T, np.inf)
        nearest = free.argmin(1)
        taken = np.isfinite(free[joints, nearest])
        matches[joints[taken], nearest[taken]] = index
    return matches


def joint_errors(pose_set: PoseSet, max_distance: float = 0.5) -> JointErrors:
    """Measure the errors of all joints, people by image and annotation."""
    errors, distances = [], []
    for keypoints, scores, truth in zip(
        pose_set.keypoints, pose_set.scores, pose_set.truths, strict=True
    ):
        points = truth.keypoints[..., :2]
        labelled = truth.keypoints[..., 2] > 0
        scale = np.sqrt(truth.areas)[:, None]
        weights = labelled / np.maximum(labelled.sum(1, keepdims=True), 1)
        roots = (points * weights[..., None]).sum(1, keepdims=True)
        matches = match_by_other_joints(
            keypoints, scores, truth, max_distance
        ).T
        found = np.zeros_like(points)
        if len(keypoints):
            found = keypoints[matches, np.arange(points.shape[1])]
        with np.errstate(divide='ignore', invalid='ignore'):
            error = np.linalg.norm(found - points, axis=-1) / scale
            distance = np.linalg.norm(points - roots, axis=-1) / scale
        errors.append(np.where(labelled & (matches >= 0), error, np.nan))
        usable = labelled & (truth.areas > 0)[:, None]
        distances.append(np.where(usable, distance, np.nan))
    return JointErrors(np.concatenate(errors), np.concatenate(distances))


def keep_common(results: Sequence[JointErrors]) -> list[JointErrors]:
    """Keep the joints that all results have, for a fair comparison."""
    first = results[0].root_distances
    for result in results:
        if not np.array_equal(result.root_distances, first, equal_nan=True):
            raise ValueError(
                'the joint errors are not on the same annotations: '
                'they have other people or joints'
            )
    common = np.isfinite([result.errors for result in results]).all(0)
    return [
        JointErrors(
            np.where(common, result.errors, np.nan),
            np.where(common, first, np.nan),
        )
        for result in results
    ]


def group_joints(names: Sequence[str]) -> dict[str, list[int]]:
    """Indices of joints by their names without ``left_`` and ``right_``."""
    groups = {}
    for index, name in enumerate(names):
        name = name.removeprefix('left_').removeprefix('right_')
        groups.setdefault(name, []).append(index)
    return groups


def mean_by_distance(result: JointErrors, edges: np.ndarray) -> np.ndarray:
    """Mean error (B,) in each bin of distance, NaN in an empty one."""
    known = np.isfinite(result.errors)
    errors, distances = result.errors[known], result.root_distances[known]
    totals, _ = np.histogram(distances, edges, weights=errors)
    counts, _ = np.histogram(distances, edges)
    with np.errstate(invalid='ignore'):
        return totals / counts


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
    names = annotations.find_person_category().get('keypoints')
    if not names:
        raise ConfigError(
            f'{ann_file}: no category lists its keypoints by name'
        )
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
    number = np.isfinite(distances).sum()
    if number < NUM_BINS:
        text = f'\nNo joint errors: all models found {number} joints.\n'
    else:
        for name, columns in group_joints(joint_names).items():
            if np.isfinite(distances[:, columns]).any():
                means = [
                    [float(np.nanmean(r.errors[:, columns])) for r in runs]
                    for runs in errors.values()
                ]
                rows.append([f'error of {name}', *map(over_seeds, means)])
        text = (
            f'\nErrors are of {number} joints of '
            f'{np.isfinite(distances).any(1).sum()} people that all models '
            'found with all seeds, in units of sqrt(area).\n\n'
            '![error by distance](joint_errors.png)\n'
        )
        # Bins of about equally many joints.
        edges = np.nanquantile(distances, np.linspace(0, 1, NUM_BINS + 1))
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
