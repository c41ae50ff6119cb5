"""Draw what the STN does to crops of boxes in pictures.

For each box: the crop with the region that the STN takes outlined and the
keypoints that were predicted, and the crop after the STN.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

from rmpe_spm.cli.error_messages import report_user_errors
from rmpe_spm.errors import ConfigError
from rmpe_spm.inference.inferencer import PoseInferencer
from rmpe_spm.inference.inputs import Picture, read_picture
from rmpe_spm.inference.stn_drawing import draw_stn, mosaic
from rmpe_spm.rmpe.parallel_sppe import ParallelSPPE


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
        required=True,
        metavar=('PICTURE', 'X0', 'Y0', 'X1', 'Y1'),
        help='a box in a picture, in pixels; may be given several times',
    )
    parser.add_argument(
        '--columns', type=int, default=4, help='of the picture'
    )
    parser.add_argument('--scale', type=int, default=2, help='enlargement')
    parser.add_argument('--device', default='cpu', help='of the model')
    args = parser.parse_args(argv)
    with report_user_errors('draw_stn.py'):
        inferencer = PoseInferencer(
            config=args.config, weights=args.checkpoint, device=args.device
        )
        if not isinstance(inferencer.model, ParallelSPPE):
            raise ConfigError(f'{args.config}: the model is no ParallelSPPE')
        pictures = []
        for path, *sides in args.box:
            picture = Picture(read_picture(path), path, 0)
            crop = inferencer.prepare(picture, np.float32(sides))
            pictures.append(draw_stn(inferencer.model, crop, args.scale))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(args.out), mosaic(pictures, args.columns)):
        parser.error(f'cannot write {args.out}')
    print(f'{args.out}: {len(pictures)} boxes')


if __name__ == '__main__':
    sys.exit(main())
