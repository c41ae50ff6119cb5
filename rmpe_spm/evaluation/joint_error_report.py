"""Compare joint errors of several models and seeds: tables and a plot."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from .functional.joint_errors import (
    JointErrors,
    distance_edges,
    group_joints,
    keep_common,
    mean_by_distance,
)


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
