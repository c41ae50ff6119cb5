"""From a model's results file to what an evaluation server accepts."""

import json
import os
import re
import zipfile
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from .ground_truth import load_json
from .result_checks import check_results

# poses of an image that COCO's evaluation looks at
_MAX_POSES = 20

# pixels' decimal places
_DECIMALS = 2


@dataclass(frozen=True)
class SubmissionFormat:
    """What a benchmark wants.

    Attributes:
        num_keypoints (int): K.
        stem (str): The file's name, with a place for the ``algorithm``'s.
        zipped (bool): Whether the JSON file goes into a zip archive of the
            same name.
    """

    num_keypoints: int
    stem: str
    zipped: bool


SUBMISSION_FORMATS = {
    # https://cocodataset.org/#upload
    'coco': SubmissionFormat(
        17, 'person_keypoints_test-dev2017_{algorithm}_results', True
    ),
    'crowdpose': SubmissionFormat(
        14, 'crowdpose_test_{algorithm}_results', False
    ),
    'ochuman': SubmissionFormat(17, 'ochuman_test_{algorithm}_results', False),
}


def get_format(dataset: str) -> SubmissionFormat:
    """The format of a benchmark.

    Args:
        dataset (str): One of :data:`SUBMISSION_FORMATS`.

    Returns:
        SubmissionFormat: Its format.

    Raises:
        ValueError: If it is not known.
    """
    if dataset not in SUBMISSION_FORMATS:
        raise ValueError(
            f'dataset must be one of {", ".join(SUBMISSION_FORMATS)}: '
            f'{dataset!r}'
        )
    return SUBMISSION_FORMATS[dataset]


def prepare_results(
    results: list[dict],
    image_ids: Container,
    num_keypoints: int,
    source: str = 'the results',
) -> list[dict]:
    """Check results and bring them into the form that servers expect.

    Args:
        results (list[dict]): In COCO's layout.
        image_ids (container): The images of the benchmark.
        num_keypoints (int): K.
        source (str): Where they come from, for the messages.

    Returns:
        list[dict]: ``image_id``, ``category_id`` 1, ``keypoints`` (pixels to
        two decimal places) and ``score`` only; by ascending image, best pose
        first.

    Raises:
        ValueError: Names the first entry that is wrong.
    """
    check_results(results, num_keypoints, image_ids, {1}, source)
    prepared = []
    for result in results:
        joints = [round(value, _DECIMALS) for value in result['keypoints']]
        joints[2::3] = result['keypoints'][2::3]
        prepared.append(
            dict(
                image_id=result['image_id'],
                category_id=1,
                keypoints=joints,
                score=result['score'],
            )
        )
    return sorted(prepared, key=lambda r: (r['image_id'], -r['score']))


def find_oddities(results: list[dict], num_images: int) -> list[str]:
    """What is allowed in a submission, but seldom meant.

    Args:
        results (list[dict]): Prepared by :func:`prepare_results`.
        num_images (int): Number of images of the benchmark.

    Returns:
        list[str]: A sentence each.
    """
    notes = []
    scores = {result['score'] for result in results}
    if len(scores) == 1 and len(results) > 1:
        notes.append(
            f'all {len(results)} poses have the score {min(scores)}: AP '
            'needs scores that rank them'
        )
    negative = sum(result['score'] < 0 for result in results)
    if negative:
        notes.append(f'{negative} poses have a negative score')
    counts = Counter(result['image_id'] for result in results)
    beyond = sum(max(0, number - _MAX_POSES) for number in counts.values())
    if beyond:
        notes.append(
            f'{beyond} poses will not count: of each image only the '
            f'{_MAX_POSES} best do'
        )
    unseen = sum(max(r['keypoints'][2::3]) <= 0 for r in results)
    if unseen:
        notes.append(
            f'{unseen} poses have no joint of a positive score: some '
            'evaluations leave them out'
        )
    poses = {(r['image_id'], *r['keypoints']) for r in results}
    if len(poses) < len(results):
        notes.append(
            f'{len(results) - len(poses)} poses are copies of another: were '
            'results joined twice?'
        )
    if len(counts) < num_images:
        notes.append(
            f'{num_images - len(counts)} of {num_images} images have no pose'
        )
    return notes


def write_submission(
    results: list[dict], dataset: str, algorithm: str, folder: Path
) -> Path:
    """Write prepared results under the name that the server expects.

    Args:
        results (list[dict]): From :func:`prepare_results`.
        dataset (str): One of :data:`SUBMISSION_FORMATS`.
        algorithm (str): Letters, digits, ``.``, ``-`` and ``_``.
        folder (Path): Where the file goes; made if it doesn't exist.

    Returns:
        Path: The file.

    Raises:
        ValueError: If the data set or the algorithm's name can't be used.
    """
    form = get_format(dataset)
    if not re.fullmatch(r'[\w.-]+', algorithm, re.ASCII):
        raise ValueError(
            "the algorithm's name is part of the file's: use letters, "
            f'digits, ".", "-" and "_" only, not {algorithm!r}'
        )
    stem = form.stem.format(algorithm=algorithm)
    text = json.dumps(results, allow_nan=False)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f'{stem}.{"zip" if form.zipped else "json"}'
    # a file that was cut short never has the right name
    part = path.with_name(f'{path.name}.part')
    if form.zipped:
        with zipfile.ZipFile(part, 'w', zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f'{stem}.json', text)
    else:
        part.write_text(text)
    os.replace(part, path)
    return path


@dataclass(frozen=True)
class Submission:
    """A file to upload.

    Attributes:
        path (Path): The file.
        num_poses (int): Poses in it.
        num_images (int): Images that they are in.
        notes (list[str]): What is allowed, but seldom meant.
    """

    path: Path
    num_poses: int
    num_images: int
    notes: list[str]


def make_submission(
    result_file: str | PathLike,
    image_file: str | PathLike,
    dataset: str,
    algorithm: str,
    out_dir: str | PathLike,
) -> Submission:
    """Check a results file and write the file to upload.

    Args:
        result_file (str | PathLike): Keypoint results in COCO's layout, such
            as the ``.keypoints.json`` of ``CocoMetric`` with
            ``format_only=True``.
        image_file (str | PathLike): The benchmark's list of images:
            COCO's ``image_info_test-dev2017.json``, or an annotation file.
        dataset (str): ``'coco'`` (test-dev: a zip archive), ``'crowdpose'``
            or ``'ochuman'`` (JSON).
        algorithm (str): Name in the file's name.
        out_dir (str | PathLike): Where the file goes.

    Returns:
        Submission: The file, and what to look at before it is sent.

    Raises:
        FileNotFoundError: If a file doesn't exist.
        ValueError: Names the first entry that is wrong. Nothing is written
            then.
    """
    form = get_format(dataset)
    images = load_json(image_file)
    if not isinstance(images, dict) or not images.get('images'):
        raise ValueError(f"{image_file} has no list 'images'")
    image_ids = {image['id'] for image in images['images']}
    results = prepare_results(
        load_json(result_file),
        image_ids,
        form.num_keypoints,
        source=str(result_file),
    )
    return Submission(
        path=write_submission(results, dataset, algorithm, Path(out_dir)),
        num_poses=len(results),
        num_images=len({result['image_id'] for result in results}),
        notes=find_oddities(results, len(image_ids)),
    )
