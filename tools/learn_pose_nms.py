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
import shlex
import sys
from datetime import date
from pathlib import Path

import numpy as np
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from rmpe_spm.cli.error_messages import report_user_errors
from rmpe_spm.coco.ground_truth import PoseSet, read_pose_set
from rmpe_spm.errors import ConfigError
from rmpe_spm.experiments.pose_nms_report import (
    compare_nms,
    draw_planes,
    fit_rule,
    markdown_report,
    rules_to_compare,
)
from rmpe_spm.pose_nms.rule import PRESETS, save_rule

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
    parser.add_argument(
        '--presets',
        nargs='+',
        default=sorted(PRESETS),
        choices=sorted(PRESETS),
        help='those to start from (default: all)',
    )
    parser.add_argument(
        '--rank-by',
        nargs='+',
        default=['keypoint', 'score'],
        choices=['keypoint', 'score'],
        help='orders of confidence to try (default: both)',
    )
    parser.add_argument('--out-dir', default='work_dirs/pose_nms')
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
    args = parser.parse_args(argv)
    if (args.held_out_ann is None) != (args.held_out_results is None):
        parser.error('--held-out-ann and --held-out-results go together')
    if not 0 < args.held_out_fraction < 1:
        parser.error('--held-out-fraction must be between 0 and 1')
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
        images = len(part.image_ids)
        text = f'{name}: {images} images, {part.num_poses} poses'
        if part.num_unlisted:
            text += (
                f' ({part.num_unlisted} left out: their images are not in '
                'the annotations)'
            )
        print(text)
        if all(truth.ignored.all() for truth in part.truths):
            split = '' if args.held_out_ann else SPLIT_HINT
            raise ConfigError(
                f'nobody is annotated in the {images} images to {name}, and '
                f'without people there is no AP{split}'
            )
    return sets


def learn(args: argparse.Namespace, command: str) -> None:
    """Learn, and write what was found."""
    try:
        meta = parse_pose_metainfo(dict(from_file=args.metainfo))
    except FileNotFoundError as error:
        raise ConfigError(
            f'--metainfo: there is no file {args.metainfo}, here or in mmpose'
        ) from error
    sigmas = np.asarray(meta['sigmas'], dtype=np.float64)
    train, held_out = load(args, sigmas)
    rule, planes = fit_rule(
        train,
        sigmas,
        args.result_file,
        presets=args.presets,
        rank_by=args.rank_by,
    )
    rules = rules_to_compare(rule, sigmas)
    tables = [compare_nms(part, rules, sigmas) for part in (train, held_out)]

    out_dir = Path(args.out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
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
        figure = draw_planes([p for p in planes if p.round == number])
        figure.savefig(out_dir / f'planes_round_{number}.png', dpi=90)
    report = markdown_report(command, rule, (train, held_out), tables)
    (out_dir / 'report.md').write_text(report)
    print(report)
    print(f'written to {out_dir}')


def main(argv: list[str] | None = None) -> None:
    words = sys.argv[1:] if argv is None else argv
    args = parse_args(words)
    command = shlex.join(['python', 'tools/learn_pose_nms.py', *words])
    with report_user_errors('learn_pose_nms.py'):
        learn(args, command)


if __name__ == '__main__':
    main()
