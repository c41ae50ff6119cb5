"""Describe who is annotated in a file of COCO's keypoint layout.

::

    python tools/describe_dataset.py ANNOTATIONS.json

Counts people (no crowds, at least one labelled joint), how large they are, and
the visibility of their joints.
"""

import argparse
from collections import Counter
from pathlib import Path

import numpy as np

from rmpe_spm.cli.error_messages import report_user_errors
from rmpe_spm.coco.annotations import KeypointAnnotations
from rmpe_spm.coco.entries import is_labelled

# COCO's bounds of small and medium, sqrt(area) in pixels
SMALL, MEDIUM = 32, 96
# sizes are compared as in pictures of this length, the longer side of COCO's
COMMON_LENGTH = 640
PERCENTILES = (10, 25, 50, 75, 90)


def describe(annotations: KeypointAnnotations) -> dict[str, float]:
    """Count what a data set shows.

    Returns:
        ``pictures``; ``people``; ``people a picture``; ``alone``, the share
        of the pictures with people that show one; ``median sqrt(area)`` in
        pixels; ``sqrt(area) p10`` to ``p90``, its percentiles where the longer
        side of each picture is made 640 pixels; the shares of people ``small``
        (below 32 pixels, as the pictures are), ``medium`` and ``large`` (above
        96); the shares of joints ``seen``, ``covered`` and ``not labelled``;
        ``crowd regions``.

    Raises:
        ConfigError: Nobody is annotated, or the annotations are malformed.
    """
    annotations.check_evaluation()
    everybody = annotations.annotations
    people = [person for person in everybody if is_labelled(person)]
    sizes = np.sqrt([person['area'] for person in people])
    flags = np.concatenate([person['keypoints'][2::3] for person in people])
    pictures = len(annotations.images)
    lengths = {number: max(size) for number, size in annotations.sizes.items()}
    ids = [person['image_id'] for person in people]
    common = sizes * COMMON_LENGTH / [lengths[number] for number in ids]
    counts = Counter(ids).values()
    return {
        'pictures': pictures,
        'people': len(people),
        'people a picture': len(people) / pictures,
        'alone': np.mean([count == 1 for count in counts]),
        'median sqrt(area)': np.median(sizes),
        **{
            f'sqrt(area) p{share}': np.percentile(common, share)
            for share in PERCENTILES
        },
        'small': np.mean(sizes < SMALL),
        'medium': np.mean((sizes >= SMALL) & (sizes <= MEDIUM)),
        'large': np.mean(sizes > MEDIUM),
        'seen': np.mean(flags == 2),
        'covered': np.mean(flags == 1),
        'not labelled': np.mean(flags == 0),
        'crowd regions': sum(bool(a.get('iscrowd')) for a in everybody),
    }


def main(argv: list[str] | None = None) -> None:
    """Print the description of a file."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('file', type=Path, help='annotations in COCO layout')
    args = parser.parse_args(argv)
    with report_user_errors('describe_dataset.py'):
        found = describe(KeypointAnnotations.read(args.file))
    for name, value in found.items():
        print(f'{name:18s} {value:.6g}')


if __name__ == '__main__':
    main()
