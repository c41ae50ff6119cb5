#!/usr/bin/env python
"""Learn the parameters of the pose NMS from a model's results.

RMPE, sec. 3.2: sigma1, sigma2, lambda and eta are chosen for the best mAP
after NMS, two at a time with the others fixed, until it stops rising. The
results must be redundant: of boxes with a low threshold and little box NMS,
and written without pose NMS (``nms=None`` in the metric).

Fit on training images and report on others::

    python tools/learn_pose_nms.py annotations/train.json results/train.json \
        --held-out-ann annotations/val.json \
        --held-out-results results/val.json

or on a part of the images, reporting on the rest::

    python tools/learn_pose_nms.py annotations.json results.json \
        --held-out-fraction 0.5

The folder of ``--out-dir`` gets ``pose_nms.json``, for
``dict(type='ParametricPoseNMS', learned_file='.../pose_nms.json')``, the
heat map of every plane, and ``report.md`` with the AP on the held-out images
before and after, beside all presets and the other NMS rules.
"""

import argparse
import itertools
import shlex
import sys
import time
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from rmpe_spm.cli.error_messages import report_user_errors
from rmpe_spm.coco.ground_truth import PoseSet, read_pose_set
from rmpe_spm.errors import ConfigError
from rmpe_spm.experiments.pose_nms_report import draw_planes, markdown_report
from rmpe_spm.pose_nms.learning import (
    Plane,
    compare_nms,
    cross_validate,
    learn,
)
from rmpe_spm.pose_nms.learning_problem import PoseNMSProblem
from rmpe_spm.pose_nms.oks_nms import OKSNMS, NearbyJointsNMS, SoftOKSNMS
from rmpe_spm.pose_nms.parametric import ParametricPoseNMS
from rmpe_spm.pose_nms.rule import PRESETS, PoseNMSRule, make_rule, save_rule

SPLIT_HINT = (
    ': give annotations of more images, another --held-out-fraction or --seed'
    ', or --held-out-ann and --held-out-results'
)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('ann_file', help='COCO annotations to fit to')
    parser.add_argument('result_file', help='COCO keypoint results on them')
    parser.add_argument('--held-out-ann', help='annotations to report on')
    parser.add_argument('--held-out-results', help='results on them')
    parser.add_argument(
        '--held-out-fraction',
        type=float,
        default=0.5,
        help='part of the images to report on, where no files are given '
        '(default: %(default)s)',
    )
    parser.add_argument('--seed', type=int, default=0, help='of that split')
    parser.add_argument('--out-dir', default='work_dirs/pose_nms')
    parser.add_argument(
        '--starts',
        nargs='+',
        default=list(PRESETS),
        choices=list(PRESETS),
        help='presets to start from, with their merging and without; the '
        'best in cross-validation counts (default: all)',
    )
    parser.add_argument(
        '--rank-by',
        nargs='+',
        default=['keypoint', 'score'],
        choices=['keypoint', 'score'],
        help='orders of confidence to try (default: %(default)s)',
    )
    parser.add_argument(
        '--metainfo',
        default='configs/_base_/datasets/coco.py',
        help="mmpose's file of the data set's keypoints and sigmas "
        '(default: %(default)s)',
    )
    parser.add_argument(
        '--no-area',
        action='store_true',
        help='for data sets whose annotations have no area',
    )
    parser.add_argument(
        '--cells',
        type=int,
        default=13,
        help='cells of the grids in each direction (default: %(default)s)',
    )
    parser.add_argument(
        '--cells-merging',
        type=int,
        default=7,
        help='the same for rules that merge poses, which take longer to '
        'evaluate (default: %(default)s)',
    )
    parser.add_argument(
        '--folds',
        type=int,
        default=3,
        help='parts of the cross-validation that chooses among the starts '
        '(default: %(default)s)',
    )
    args = parser.parse_args(argv)
    if (args.held_out_ann is None) != (args.held_out_results is None):
        parser.error('--held-out-ann and --held-out-results go together')
    if not 0 < args.held_out_fraction < 1:
        parser.error('--held-out-fraction must be between 0 and 1')
    if min(args.cells, args.cells_merging) < 3:
        parser.error('--cells and --cells-merging must be at least 3')
    if args.folds < 2:
        parser.error('--folds must be at least 2')
    return args


def load(args: argparse.Namespace, sigmas: np.ndarray) -> list[PoseSet]:
    """The images to fit to and those to report on."""
    options = dict(num_keypoints=len(sigmas), use_area=not args.no_area)
    poses = read_pose_set(args.ann_file, args.result_file, **options)
    if args.held_out_ann is not None:
        sets = [
            poses,
            read_pose_set(args.held_out_ann, args.held_out_results, **options),
        ]
    else:
        number = len(poses.image_ids)
        order = np.random.default_rng(args.seed).permutation(number)
        cut = number - round(args.held_out_fraction * number)
        sets = [poses.subset(order[:cut]), poses.subset(order[cut:])]
    for name, part in zip(('fit', 'report on'), sets, strict=True):
        print(
            f'{name}: {len(part.image_ids)} images, {part.num_poses} poses'
            + (
                f' ({part.num_unlisted} left out: their images are not in '
                'the annotations)'
                if part.num_unlisted
                else ''
            )
        )
        if all(truth.ignored.all() for truth in part.truths):
            split = '' if args.held_out_ann else SPLIT_HINT
            raise ConfigError(
                f'nobody is annotated in the {len(part.image_ids)} images to '
                f'{name}, and without people there is no AP{split}'
            )
    return sets


def fit(
    poses: PoseSet, sigmas: np.ndarray, args: argparse.Namespace
) -> tuple[PoseNMSRule, list[Plane]]:
    """The rule learned from the start that is best on images left out."""
    starts = {}
    for preset, rank_by in itertools.product(args.starts, args.rank_by):
        rule = make_rule(preset, rank_by=rank_by)
        for merge in dict.fromkeys((rule.merge, None)):
            name = f'{preset}, ranked by {rank_by}, merging {merge}'
            starts[name] = replace(rule, merge=merge)
    found = {}
    for number, (name, rule) in enumerate(starts.items(), 1):
        merging = rule.merge is not None
        found[name] = cross_validate(
            poses, sigmas, rule, args.folds, cells=5 if merging else 7
        )
        print(
            f'[{number}/{len(starts)}] from {name}: AP {found[name]:.4f} in '
            'cross-validation',
            flush=True,
        )
    name = max(found, key=found.get)
    if found[name] == 0:
        raise ConfigError(
            f'no pose in {args.result_file} is near an annotated person (AP '
            'is 0 with every start), so there is nothing to learn: are the '
            'results in the pixels of the annotated images?'
        )
    problem = PoseNMSProblem(poses, sigmas, starts[name])
    print(
        f'from {name}: AP {problem.evaluate(**problem.start):.4f}, '
        f'{len(problem.i)} pairs of similar poses'
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

    merging = problem.rule.merge is not None
    cells = args.cells_merging if merging else args.cells
    began = time.perf_counter()
    learned, ap = learn(problem, cells=cells, on_plane=show)
    each = (time.perf_counter() - began) / sum(
        plane.ap.size for plane in planes
    )
    print(f'  AP {ap:.4f}, {1e3 * each:.1f} ms an evaluation')
    return learned, planes


def components(rules: dict[str, PoseNMSRule]) -> dict:
    """Pose NMS components of rules."""
    built = {}
    for name, rule in rules.items():
        built[name] = ParametricPoseNMS()
        built[name].rule = rule
    return built


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    try:
        meta = parse_pose_metainfo(dict(from_file=args.metainfo))
    except FileNotFoundError as error:
        raise ConfigError(
            f'--metainfo: there is no file {args.metainfo}, here or in mmpose'
        ) from error
    sigmas = np.asarray(meta['sigmas'], dtype=np.float64)
    train, held_out = load(args, sigmas)
    rule, planes = fit(train, sigmas, args)

    presets = {f'preset {name}': make_rule(name) for name in PRESETS}
    rules = {'none': None}
    for thr in (0.5, 0.7, 0.9):
        rules[f'OKS {thr}'] = OKSNMS(thr, sigmas)
    rules['soft OKS'] = SoftOKSNMS(sigmas=sigmas)
    rules['nearby joints'] = NearbyJointsNMS()
    rules.update(components({**presets, 'learned': rule}))
    tables = [compare_nms(part, rules, sigmas) for part in (train, held_out)]

    out_dir = Path(args.out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    command = shlex.join(
        ['python', 'tools/learn_pose_nms.py', *(argv or sys.argv[1:])]
    )
    provenance = dict(
        data=[Path(args.ann_file).name, Path(args.result_file).name],
        command=command,
        date=date.today().isoformat(),
        images=len(train.image_ids),
        poses=train.num_poses,
        ap=tables[0]['learned'].ap,
        ap_without_nms=tables[0]['none'].ap,
        held_out_images=len(held_out.image_ids),
        held_out_ap=tables[1]['learned'].ap,
        held_out_ap_without_nms=tables[1]['none'].ap,
    )
    save_rule(out_dir / 'pose_nms.json', rule, provenance)
    for number in sorted({plane.round for plane in planes}):
        figure = draw_planes(
            [plane for plane in planes if plane.round == number]
        )
        figure.savefig(out_dir / f'planes_round_{number}.png', dpi=90)
    report = markdown_report(command, rule, (train, held_out), tables)
    (out_dir / 'report.md').write_text(report)
    print(report)
    print(f'written to {out_dir}')


if __name__ == '__main__':
    with report_user_errors('learn_pose_nms.py'):
        main()
