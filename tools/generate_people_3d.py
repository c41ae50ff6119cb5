"""Generate pictures of people in a camera's space.

::

    python tools/generate_people_3d.py data/generated_3d --num-train 2000

The folder has CMU Panoptic's layout, for ``PanopticMultiPersonDataset``, and
the same people's annotations in COCO's. See docs/spm.md.
"""

import argparse
import sys
from pathlib import Path

from rmpe_spm.synthetic.camera_space import generate_camera_space


def main(argv: list[str] | None = None) -> int:
    """Write the pictures; 2 after an error."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument('root', type=Path, help='the folder to write')
    parser.add_argument('--num-train', type=int, default=2000)
    parser.add_argument('--num-val', type=int, default=250)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args(argv)
    try:
        generate_camera_space(**vars(args))
    except (OSError, ValueError) as error:
        print(f'generate_people_3d: {error}', file=sys.stderr)
        return 2
    print(f'{args.num_train} + {args.num_val} pictures in {args.root}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
