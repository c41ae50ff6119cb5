"""From a model's results file to what an evaluation server accepts."""

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from ..evaluation.functional.coco_poses import load_json
from ..evaluation.functional.submission import (
    find_oddities,
    get_format,
    prepare_results,
    write_submission,
)


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
