"""Poses and boxes in COCO's results layout: checked, and handed in."""

import io
import json
import logging
import os
import re
import zipfile
from collections import Counter
from collections.abc import Container
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.logging import print_log

from ..errors import ConfigError
from ..files import read_json, write_atomically
from .annotations import KeypointAnnotations
from .entries import are_numbers, is_number

# As many poses of an image count in COCO's evaluation.
MAX_POSES = 20


def check_results(
    results: Any,
    num_keypoints: int,
    image_ids: Container | None = None,
    category_ids: Container | None = None,
    source: str = 'the results',
) -> None:
    """Check keypoint results in COCO's layout.

    Raises:
        ConfigError: Names the first entry that is wrong, or says that there
            are none.
    """
    if not isinstance(results, list):
        raise ConfigError(
            f'{source}: not a list of results as COCO has them, but '
            f'{type(results).__name__}'
        )
    if not results:
        raise ConfigError(f'{source}: empty, there is no pose to evaluate')
    for index, result in enumerate(results):
        problem = _problem_of_result(
            result, num_keypoints, image_ids, category_ids
        )
        if problem:
            image = result.get('image_id') if isinstance(result, dict) else '?'
            raise ConfigError(
                f'{source}: result {index} (image {image}) {problem}'
            )


def _problem_of_result(
    result: Any,
    num_keypoints: int,
    image_ids: Container | None,
    category_ids: Container | None,
) -> str:
    """What is wrong with a result, empty if nothing."""
    if not isinstance(result, dict) or 'image_id' not in result:
        return 'has no image_id'
    if type(result['image_id']) is not int:
        return 'has an image_id that is not a whole number'
    if image_ids is not None and result['image_id'] not in image_ids:
        return 'is for an image that the annotations do not list'
    if category_ids is not None:
        category = result.get('category_id')
        if category is None:
            return 'has no category_id'
        if type(category) is not int or category not in category_ids:
            return (
                f'is of category {category}, which the annotations do not list'
            )
    joints = result.get('keypoints')
    if not isinstance(joints, list) or len(joints) != 3 * num_keypoints:
        number = len(joints) if isinstance(joints, list) else 'no'
        return (
            f'has {number} numbers as keypoints, but {3 * num_keypoints} are '
            f'needed for {num_keypoints} joints (x, y and score of each)'
        )
    if not are_numbers(joints):
        place = next(i for i, v in enumerate(joints) if not is_number(v))
        return (
            f'has {joints[place]} as {("x", "y", "score")[place % 3]} of '
            f'joint {place // 3}'
        )
    if 'score' not in result:
        return 'has no score'
    if not is_number(result['score']):
        return f'has the score {result["score"]}, not a finite number'
    box = result.get('bbox')
    if box and (not are_numbers(box) or len(box) != 4):
        return f'has the bbox {box}, not 4 finite numbers'
    return ''


def is_scored(result: dict) -> bool:
    """Whether a joint has a positive score, or else COCO drops the pose."""
    return max(result['keypoints'][2::3]) > 0


def check_scored(
    results: list[dict], source: str = 'the results', strict: bool = True
) -> None:
    """Warn of poses that COCO's evaluation leaves out without a word.

    The results have passed :func:`check_results`. Where all are left out it
    is a ConfigError, unless not ``strict``.
    """
    unscored = [i for i, r in enumerate(results) if not is_scored(r)]
    if not unscored:
        return
    first = unscored[0]
    text = (
        f'{source}: {len(unscored)} of {len(results)} poses have no joint '
        'with a score above 0 and do not count (the first: result '
        f'{first}, image {results[first]["image_id"]})'
    )
    if len(unscored) == len(results):
        text += ': no pose is left, and AP would be 0'
        if strict:
            raise ConfigError(text)
    print_log(text, 'current', level=logging.WARNING)


def read_detections(
    path: str | os.PathLike, annotations: KeypointAnnotations | None = None
) -> list[dict]:
    """Read the detections of category 1, a person, in COCO's results layout.

    Boxes without area or outside their image pass: they are evaluated, and
    perturbed ones may lie there. The annotations, if given, must list the
    images.

    Raises:
        FileNotFoundError: There is no such file.
        ConfigError: It is of another layout, has no person, or a person has
            no finite box and score or no listed image. The message names the
            first.
    """
    detections = read_json(path)
    if not isinstance(detections, list):
        raise ConfigError(
            f"{path} is not a list of detections in COCO's results layout"
        )
    listed = annotations and {image['id'] for image in annotations.images}
    people = []
    for index, entry in enumerate(detections):
        problem = _problem_of_detection(entry)
        if not problem and entry['category_id'] != 1:
            continue
        if not problem and annotations and entry['image_id'] not in listed:
            problem = (
                f'is of image {entry["image_id"]}, which {annotations.source} '
                'does not list: give the detections of these annotations, or '
                'leave it out'
            )
        if problem:
            raise ConfigError(f'{path}: detection {index} {problem}')
        people.append(entry)
    if not people:
        raise ConfigError(
            f'{path} has no detection of a person (category_id 1)'
        )
    return people


def _problem_of_detection(entry: Any) -> str:
    """What is wrong with a detection, empty if nothing."""
    if not isinstance(entry, dict) or 'category_id' not in entry:
        return 'has no category_id'
    if entry['category_id'] != 1:
        return ''
    if type(entry.get('image_id')) is not int:
        return f'has the image_id {entry.get("image_id")!r}, not a number'
    box = entry.get('bbox')
    where = f'of image {entry["image_id"]}'
    if not are_numbers(box) or len(box) < 4:
        return (
            f'{where} has the bbox {box}, not 4 finite numbers: leave it out'
        )
    if not is_number(entry.get('score')):
        score = entry.get('score')
        return f'{where} has the score {score!r}, not a number: leave it out'
    return ''


class SubmissionFormat(NamedTuple):
    """What a benchmark wants."""

    num_keypoints: int
    stem: str  # the file's name, with a place for the ``algorithm``'s
    zipped: bool  # whether the JSON file goes into an archive of its name


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


class Submission(NamedTuple):
    """A file to upload."""

    path: Path
    num_poses: int
    num_images: int  # those that have poses
    notes: list[str]  # what is allowed, but seldom meant


def make_submission(
    result_file: str | os.PathLike,
    image_file: str | os.PathLike,
    dataset: str,
    algorithm: str,
    out_dir: str | os.PathLike,
) -> Submission:
    """Check a results file and write the file to upload.

    It has ``image_id``, ``category_id`` 1, ``keypoints`` (pixels to two
    decimal places) and ``score`` of each pose, by ascending image, best pose
    first. ``image_file`` is the benchmark's list of images; ``dataset``
    ``'coco'`` (a zip archive), ``'crowdpose'`` or ``'ochuman'`` (JSON).

    Raises:
        FileNotFoundError: If a file doesn't exist.
        ConfigError: The data set or the algorithm's name can't be used, or
            an entry is wrong, of which the first is named. Nothing is written
            then.
    """
    form = SUBMISSION_FORMATS.get(dataset)
    if form is None:
        raise ConfigError(
            f'dataset must be one of {", ".join(SUBMISSION_FORMATS)}: '
            f'{dataset!r}'
        )
    if not re.fullmatch(r'[\w.-]+', algorithm, re.ASCII):
        raise ConfigError(
            "the algorithm's name is part of the file's: use letters, "
            f'digits, ".", "-" and "_" only, not {algorithm!r}'
        )
    if Path(out_dir).exists() and not Path(out_dir).is_dir():
        raise ConfigError(
            f'{out_dir} is no folder: choose another for --out-dir'
        )
    images = KeypointAnnotations.read(image_file).images
    image_ids = {image['id'] for image in images}
    results = read_json(result_file)
    check_results(
        results, form.num_keypoints, image_ids, {1}, str(result_file)
    )
    prepared = [
        dict(
            image_id=result['image_id'],
            category_id=1,
            keypoints=_rounded(result['keypoints']),
            score=result['score'],
        )
        for result in results
    ]
    prepared.sort(key=lambda r: (r['image_id'], -r['score']))
    stem = form.stem.format(algorithm=algorithm)
    content: str | bytes = json.dumps(prepared, allow_nan=False)
    if form.zipped:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, 'w', zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f'{stem}.json', content)
        content = buffer.getvalue()
    name = f'{stem}.{"zip" if form.zipped else "json"}'
    return Submission(
        path=write_atomically(Path(out_dir, name), content),
        num_poses=len(prepared),
        num_images=len({result['image_id'] for result in prepared}),
        notes=_oddities(prepared, len(image_ids)),
    )


def _rounded(keypoints: list[float]) -> list[float]:
    """Coordinates to two decimal places, scores as they are."""
    joints = [round(value, 2) for value in keypoints]
    joints[2::3] = keypoints[2::3]
    return joints


def _oddities(results: list[dict], num_images: int) -> list[str]:
    """What is allowed in a submission, but seldom meant, a sentence each."""
    scores = {result['score'] for result in results}
    counts = Counter(result['image_id'] for result in results)
    poses = {(r['image_id'], *r['keypoints']) for r in results}
    beyond = sum(max(0, number - MAX_POSES) for number in counts.values())
    negative = sum(result['score'] < 0 for result in results)
    unscored = sum(not is_scored(result) for result in results)
    alike = len(results) if len(scores) == 1 and len(results) > 1 else 0
    copies, unseen = len(results) - len(poses), num_images - len(counts)
    notes = {
        f'all {alike} poses have the score {min(scores)}: AP needs scores '
        'that rank them': alike,
        f'{negative} poses have a negative score': negative,
        f'{beyond} poses will not count: of each image only the {MAX_POSES} '
        'best do': beyond,
        f'{unscored} poses have no joint of a positive score: some '
        'evaluations leave them out': unscored,
        f'{copies} poses are copies of another: were results joined '
        'twice?': copies,
        f'{unseen} of {num_images} images have no pose': unseen,
    }
    return [note for note, number in notes.items() if number]
