"""Write the file that a benchmark's server accepts.

Checks the results of a model against the benchmark's images, then writes
COCO's zip archive, or the JSON file of CrowdPose or OCHuman:

    python tools/make_submission.py RESULTS.keypoints.json \
        image_info_test-dev2017.json --dataset coco --algorithm rmpe-hrnet
"""

import argparse

from rmpe_spm.cli.error_messages import report_user_errors
from rmpe_spm.coco.results import SUBMISSION_FORMATS, make_submission


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n', maxsplit=1)[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument('results', help='keypoint results, COCO results JSON')
    parser.add_argument(
        'images', help="the benchmark's image list or annotation file"
    )
    parser.add_argument('--dataset', required=True, choices=SUBMISSION_FORMATS)
    parser.add_argument(
        '--algorithm', required=True, help="name in the file's name"
    )
    parser.add_argument(
        '--out-dir', default='submissions', help='where the file goes'
    )
    args = parser.parse_args(argv)
    with report_user_errors('make_submission'):
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
