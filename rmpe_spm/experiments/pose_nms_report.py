"""The report of a learned pose NMS: a Markdown table and heat maps."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from ..coco.ground_truth import PoseSet
from ..pose_nms.learning import NMSScore, Plane
from ..pose_nms.learning_problem import RANGES
from ..pose_nms.rule import PoseNMSRule


def markdown_report(
    command: str,
    rule: PoseNMSRule,
    poses: Sequence[PoseSet],
    tables: Sequence[Mapping[str, NMSScore]],
) -> str:
    """The learned values and the table of all rules.

    Args:
        command (str): What was run.
        rule (PoseNMSRule): What was learned.
        poses (Sequence[PoseSet]): Those it was fitted to, and others.
        tables (Sequence[Mapping]): The scores of all rules on both, by the
            rules' names.

    Returns:
        str: Markdown, a row for each rule.
    """
    train, held_out = poses
    values = ', '.join(f'{n} {getattr(rule, n):.4g}' for n in RANGES)
    lines = [
        '# Learned pose NMS',
        '',
        f'`{command}`',
        '',
        f'Fitted to {len(train.image_ids)} images with {train.num_poses} '
        f'poses, reported on {len(held_out.image_ids)} others with '
        f'{held_out.num_poses}. {values}; ranked by {rule.rank_by}, merging '
        f'{rule.merge}, match_fraction {rule.match_fraction}. A kept pose '
        'has the score that it came with.',
        '',
        '| pose NMS | AP (fit) | AP | AP50 | AP75 | poses | ms/image |',
        '|---|---|---|---|---|---|---|',
    ]
    for name, score in tables[1].items():
        lines.append(
            f'| {name} | {tables[0][name].ap:.4f} | {score.ap:.4f} '
            f'| {score.ap50:.4f} | {score.ap75:.4f} | {score.num_poses} '
            f'| {score.milliseconds:.3f} |'
        )
    return '\n'.join(lines) + '\n'


def draw_planes(planes: Sequence[Plane]) -> Figure:
    """Heat maps of the AP over the grids of one round.

    Args:
        planes (Sequence[Plane]): The grids, at least one.

    Returns:
        Figure: A row for each pair of parameters, a column for each zoom; a
        star marks the values chosen.
    """
    pairs = list(dict.fromkeys(plane.names for plane in planes))
    zooms = max(plane.zoom for plane in planes) + 1
    figure = Figure(
        figsize=(4.5 * zooms, 3.8 * len(pairs)), layout='constrained'
    )
    axes = figure.subplots(len(pairs), zooms, squeeze=False)
    for plane in planes:
        axis = axes[pairs.index(plane.names), plane.zoom]
        image = axis.pcolormesh(
            plane.columns, plane.rows, plane.ap, shading='nearest'
        )
        axis.plot(*plane.best[::-1], 'r*', markersize=12)
        axis.set(xscale='log', yscale='log')
        for side, values in (
            (axis.xaxis, plane.columns),
            (axis.yaxis, plane.rows),
        ):
            ticks = values[:: max(len(values) // 4, 1)]
            side.set_major_locator(FixedLocator(ticks))
            side.set_major_formatter(lambda value, _: f'{value:.3g}')
            side.set_minor_locator(NullLocator())
        axis.set_xlabel(plane.names[1])
        axis.set_ylabel(plane.names[0])
        axis.set_title(f'zoom {plane.zoom}: AP {plane.best_ap:.4f}')
        figure.colorbar(image, ax=axis)
    return figure
