"""What a learned pose NMS is worth: fitting, comparing, a table, heat maps."""

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from ..coco.ground_truth import PoseSet
from ..coco.keypoint_ap import KeypointAP
from ..errors import ConfigError
from ..markdown import markdown_table
from ..pose_nms.base import BasePoseNMS
from ..pose_nms.learning import (
    RANGES,
    Plane,
    PoseNMSProblem,
    cross_validate,
    learn,
)
from ..pose_nms.oks_nms import OKSNMS, NearbyJointsNMS, SoftOKSNMS
from ..pose_nms.parametric import ParametricPoseNMS
from ..pose_nms.rule import PRESETS, PoseNMSRule, make_rule


def fit_rule(
    poses: PoseSet,
    sigmas: np.ndarray,
    source: str,
    *,
    presets: Sequence[str] = tuple(PRESETS),
    rank_by: Sequence[str] = ('keypoint', 'score'),
    folds: int = 3,
    cells: int = 13,
) -> tuple[PoseNMSRule, list[Plane]]:
    """Learn a rule from the start that is best on images left out.

    Starts are the presets, ranked in each way, with their merging and
    without, with their rule of matching joints and without. Progress is
    printed. The start is chosen by cross-validation in ``folds`` parts; grids
    have ``cells`` in each direction, half as many for rules that merge poses,
    which take longer. Returns the rule and the planes that were searched.

    Raises:
        ConfigError: If no pose is near an annotated person.
        ValueError: If there are fewer images with people than folds, or no
            two poses are alike.
    """
    starts = {}
    for preset, order in itertools.product(presets, rank_by):
        rule = make_rule(preset, rank_by=order)
        for merge, fraction in itertools.product(
            dict.fromkeys((rule.merge, None)),
            dict.fromkeys((rule.match_fraction, None)),
        ):
            name = f'{preset}, ranked by {order}, merging {merge}'
            if fraction is not None:
                name += ', matching joints'
            starts[name] = replace(rule, merge=merge, match_fraction=fraction)
    found = {}
    for number, (name, rule) in enumerate(starts.items(), 1):
        coarse = 7 if rule.merge is None else 5
        found[name] = cross_validate(poses, sigmas, rule, folds, coarse)
        print(
            f'[{number}/{len(starts)}] from {name}: AP {found[name]:.4f} in '
            'cross-validation',
            flush=True,
        )
    name = max(found, key=found.get)
    if found[name] == 0:
        raise ConfigError(
            f'no pose in {source} is near an annotated person (AP is 0 with '
            'every start), so there is nothing to learn: are the results in '
            'the pixels of the annotated images?'
        )
    problem = PoseNMSProblem(poses, sigmas, starts[name])
    print(
        f'from {name}: AP {problem.evaluate():.4f}, {len(problem.i)} pairs '
        'of similar poses'
    )
    planes = []

    def show(plane: Plane) -> None:
        planes.append(plane)
        values = ' '.join(
            f'{name}={value:.4g}'
            for name, value in zip(plane.names, plane.best, strict=True)
        )
        print(
            f'  round {plane.round} zoom {plane.zoom}: '
            f'AP {plane.best_ap:.4f} at {values}',
            flush=True,
        )

    if problem.rule.merge is not None:
        cells = max((cells + 1) // 2, 3)
    learned, ap = learn(problem, cells, on_plane=show)
    print(f'  AP {ap:.4f}')
    return learned, planes


def rules_to_compare(
    learned: PoseNMSRule, sigmas: np.ndarray
) -> dict[str, BasePoseNMS | None]:
    """No NMS, the other rules, all presets and the learned rule, by name."""
    rules: dict[str, BasePoseNMS | None] = {'none': None}
    for thr in (0.3, 0.4, 0.5, 0.7, 0.9):
        rules[f'OKS {thr}'] = OKSNMS(thr, sigmas)
    rules['soft OKS'] = SoftOKSNMS(sigmas=sigmas)
    rules['nearby joints'] = NearbyJointsNMS()
    for name in PRESETS:
        rules[f'preset {name}'] = ParametricPoseNMS(name)
    for name in ('mpii', 'coco'):
        rules[f'preset {name}, ranked by score'] = ParametricPoseNMS(
            name, rank_by='score'
        )
    rules['learned'] = ParametricPoseNMS(**asdict(learned))
    return rules


@dataclass
class NMSScore:
    """What a pose NMS made of a data set."""

    ap: float  # COCO's, 0 to 1
    ap50: float
    ap75: float
    num_poses: int  # that are left
    milliseconds: float  # of the NMS per image


def compare_nms(
    poses: PoseSet,
    rules: Mapping[str, Callable | None],
    sigmas: np.ndarray,
) -> dict[str, NMSScore]:
    """Evaluate pose NMS rules on the same poses and their scores.

    A kept pose has the score that it came with, times what a soft rule
    makes of it; merged poses are evaluated as they are. ``rules`` are called
    as :class:`~rmpe_spm.pose_nms.base.BasePoseNMS`; None is no NMS.
    """
    found = {}
    for name, nms in rules.items():
        keypoints, scores = poses.keypoints, poses.scores
        start = time.perf_counter()
        if nms is not None:
            results = nms.batch(
                poses.keypoints,
                poses.keypoint_scores,
                poses.bboxes_xyxy,
                scores=poses.scores,
            )
            keypoints = [result.keypoints for result in results]
            scores = [result.scores for result in results]
        seconds = time.perf_counter() - start
        kept = replace(poses, keypoints=keypoints, scores=scores, areas=None)
        precision, _ = KeypointAP.of(kept, sigmas).curves()
        found[name] = NMSScore(
            ap=float(precision.mean()),
            ap50=float(precision[0].mean()),
            ap75=float(precision[5].mean()),
            num_poses=kept.num_poses,
            milliseconds=1e3 * seconds / len(poses.truths),
        )
    return found


def markdown_report(
    command: str,
    rule: PoseNMSRule,
    poses: Sequence[PoseSet],
    tables: Sequence[Mapping[str, NMSScore]],
) -> str:
    """The learned values and the table of all rules.

    ``poses`` and ``tables``, of scores by name, are those that the rule was
    fitted to, and others.
    """
    train, held_out = poses
    values = ', '.join(f'{n} {getattr(rule, n):.4g}' for n in RANGES)
    rows = [
        [
            name,
            f'{tables[0][name].ap:.4f}',
            f'{score.ap:.4f}',
            f'{score.ap50:.4f}',
            f'{score.ap75:.4f}',
            score.num_poses,
            f'{score.milliseconds:.3f}',
        ]
        for name, score in tables[1].items()
    ]
    head = ['pose NMS', 'AP (fit)', 'AP', 'AP50', 'AP75', 'poses', 'ms/image']
    return (
        f'# Learned pose NMS\n\n`{command}`\n\n'
        f'Fitted to {len(train.image_ids)} images with {train.num_poses} '
        f'poses, reported on {len(held_out.image_ids)} others with '
        f'{held_out.num_poses}. {values}; ranked by {rule.rank_by}, merging '
        f'{rule.merge}, match_fraction {rule.match_fraction}. A kept pose '
        'has the score that it came with.\n\n'
        f'{markdown_table(head, rows)}'
    )


def draw_planes(planes: Sequence[Plane]) -> Figure:
    """Heat maps of the AP over the grids of one round.

    A row for each pair of parameters, a column for each zoom; a star marks
    the values chosen.
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
