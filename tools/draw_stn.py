"""Draw what the STN does to crops of bad boxes.

For each person of the validation set, or each given box: the crop of the box,
perturbed where it is an annotated one, with the region that the STN takes
outlined and the keypoints that were predicted, and the crop after the STN.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, TRANSFORMS

import rmpe_spm  # noqa: F401
from rmpe_spm.cli.arguments import read_config_file
from rmpe_spm.cli.error_messages import report_user_errors
from rmpe_spm.cli.preflight import CheckedData
from rmpe_spm.inference.stn_drawing import draw_stn, mosaic
from rmpe_spm.rmpe.parallel_sppe import ParallelSPPE


def load_crops(cfg: Config, args: argparse.Namespace, meta: dict) -> list:
    """Return packed crops of the given or of perturbed annotated boxes.

    ``meta`` is that of the data set.
    """
    steps = list(cfg.val_dataloader.dataset.pipeline)
    if args.box:
        pipeline = Compose([TRANSFORMS.build(t) for t in steps])
        return [
            pipeline(
                dict(
                    img_path=path,
                    bbox=np.array([sides], dtype=np.float32),
                    bbox_score=np.ones(1, dtype=np.float32),
                    **meta,
                )
            )
            for path, *sides in args.box
        ]
    dataset_cfg = cfg.val_dataloader.dataset.copy()
    dataset_cfg.update(bbox_file=None, filter_cfg=None, pipeline=[])
    dataset = DATASETS.build(dataset_cfg)
    jitter = dict(
        type='PGPGTransform',
        mode='jitter',
        jitter_range=args.jitter,
        min_iou=0.3,
    )
    transforms = [TRANSFORMS.build(t) for t in (steps[0], jitter, *steps[1:])]
    pipeline = Compose(transforms)
    np.random.seed(args.seed)  # noqa: NPY002 (the transform draws from it)
    crops = []
    for index in np.random.permutation(len(dataset)):  # noqa: NPY002
        person = dataset.get_data_info(int(index))
        small = np.ptp(person['bbox'].reshape(2, 2), axis=0).min() < 40
        packed = None if small else pipeline(person)
        if packed is not None:
            crops.append(packed)
        if len(crops) == args.count:
            break
    return crops


def main(argv: list[str] | None = None) -> None:
    """Draw as the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n')[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument('config', help='config of a ParallelSPPE')
    parser.add_argument('checkpoint', help='its weights')
    parser.add_argument('out', type=Path, help='picture to write (.png, .jpg)')
    parser.add_argument(
        '--box',
        nargs=5,
        action='append',
        metavar=('PICTURE', 'X0', 'Y0', 'X1', 'Y1'),
        help='a box in a picture, in pixels, in the place of the validation '
        'set; may be given several times',
    )
    parser.add_argument('--count', type=int, default=12, help='people')
    parser.add_argument(
        '--columns', type=int, default=4, help='of the picture'
    )
    parser.add_argument('--scale', type=int, default=2, help='enlargement')
    parser.add_argument(
        '--jitter', type=float, default=0.35, help='error of a box side'
    )
    parser.add_argument('--device', default='cpu', help='of the model')
    parser.add_argument('--seed', type=int, default=0, help='of the boxes')
    args = parser.parse_args(argv)
    # after rmpe_spm, which stands in for the operators that mmcv-lite lacks
    from mmpose.apis import init_model

    init_default_scope('mmpose')
    with report_user_errors('draw_stn.py'):
        cfg = read_config_file(args.config)
        # boxes are made from the annotated ones
        cfg.val_dataloader.dataset.pop('bbox_file', None)
        if not args.box:
            CheckedData(cfg, 'train')
        model = init_model(cfg, args.checkpoint, args.device, cfg_options={})
    if not isinstance(model, ParallelSPPE):
        parser.error(f'{args.config}: the model is no ParallelSPPE')
    pictures = [
        draw_stn(model, crop, args.scale)
        for crop in load_crops(cfg, args, model.dataset_meta)
    ]
    if not pictures:
        parser.error(f'{args.config}: no person to draw')
    args.out.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(args.out), mosaic(pictures, args.columns)):
        parser.error(f'cannot write {args.out}')
    print(f'{args.out}: {len(pictures)} people')


if __name__ == '__main__':
    sys.exit(main())
