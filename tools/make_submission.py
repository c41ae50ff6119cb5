"""Write the file that a benchmark's server accepts.

Checks the results of a model against the benchmark's images, then writes
COCO's zip archive, the JSON file of CrowdPose or OCHuman, or the file that
MPII's multi-person toolkit reads:

    python tools/make_submission.py RESULTS.keypoints.json \
        image_info_test-dev2017.json --dataset coco --algorithm rmpe-hrnet
    python tools/make_submission.py RESULTS.mat \
        mpii_human_pose_v1_u12_1.mat --group-file groups_v12.mat \
        --dataset mpii --algorithm spm
"""

import argparse
from pathlib import Path

from rmpe_spm.cli.error_messages import report_user_errors
from rmpe_spm.coco.results import SUBMISSION_FORMATS, make_submission
from rmpe_spm.mpii.toolkit_file import make_mpii_submission


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n', maxsplit=1)[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        'results', help='keypoint results, COCO results JSON; MPII: .mat'
    )
    parser.add_argument(
        'images', help="the benchmark's image list or annotation file"
    )
    parser.add_argument(
        '--dataset', required=True, choices=[*SUBMISSION_FORMATS, 'mpii']
    )
    parser.add_argument(
        '--algorithm',
        required=True,
        help="name in the file's name; MPII: of the file's folder",
    )
    parser.add_argument(
        '--group-file', help="MPII: the official groups, 'groups_v12.mat'"
    )
    parser.add_argument(
        '--out-dir', default='submissions', help='where the file goes'
    )
    args = parser.parse_args(argv)
    if (args.dataset == 'mpii') != (args.group_file is not None):
        parser.error('--group-file goes with --dataset mpii')
    with report_user_errors('make_submission'):
        if args.dataset == 'mpii':
            made = make_mpii_submission(
                args.results,
                args.images,
                args.group_file,
                Path(args.out_dir, args.algorithm),
            )
        else:
            made = make_submission(
                args.results,
                args.images,
                args.dataset,
                args.algorithm,
                args.out_dir,
            )
    print(f'{made.path}: {made.num_poses} poses in {made.num_images} images')
    for note in made.notes:
        print(f'note: {note}')


if __name__ == '__main__':
    main()
