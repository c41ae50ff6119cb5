"""Generate the embedded data set: pictures of people in COCO's layout.

::

    python tools/generate_dataset.py data/generated --num-train 2000

The folder can stand in for COCO's in any MMPose config; detections for
``bbox_file`` are in ``detections/``. See docs/data.md. With ``--3d`` it has
CMU Panoptic's layout, see docs/spm.md.
"""

import argparse
from pathlib import Path

from rmpe_spm.cli.error_messages import report_user_errors
from rmpe_spm.synthetic.camera_space import generate_camera_space
from rmpe_spm.synthetic.people_dataset import generate_dataset
from rmpe_spm.synthetic.people_video import generate_video


def main(argv: list[str] | None = None) -> None:
    """Write the data set that the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument('root', type=Path, help='the folder to write')
    parser.add_argument('--num-train', type=int, default=2000)
    parser.add_argument('--num-val', type=int, default=250)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--size',
        type=int,
        nargs=2,
        default=(640, 480),
        metavar=('W', 'H'),
        help='of the pictures, pixels',
    )
    parser.add_argument(
        '--workers', type=int, help='processes; by default one for each core'
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument(
        '--3d',
        dest='in_3d',
        action='store_true',
        help="place people in cameras' spaces, one process draws them",
    )
    kind.add_argument(
        '--video',
        type=int,
        metavar='FRAMES',
        help='write a video instead, with ids as PoseTrack has them',
    )
    args = parser.parse_args(argv)
    settings = dict(vars(args), size=tuple(args.size))
    num_frames, in_3d = settings.pop('video'), settings.pop('in_3d')
    with report_user_errors('generate_dataset.py'):
        if num_frames is not None:
            path = generate_video(
                args.root, num_frames, seed=args.seed, size=settings['size']
            )
            print(f'{num_frames} frames: {path}')
            return
        if in_3d:
            settings.pop('workers')
            generate_camera_space(**settings)
        else:
            generate_dataset(**settings)
    print(f'{args.num_train} + {args.num_val} pictures in {args.root}')


if __name__ == '__main__':
    main()
