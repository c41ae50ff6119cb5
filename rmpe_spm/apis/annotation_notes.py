"""What training leaves out of an annotation file, or repairs."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path


def all_finite(values: Iterable[float]) -> bool:
    """Whether no number is NaN or infinite."""
    return all(map(math.isfinite, values))


def has_visible_keypoint(annotation: Mapping) -> bool:
    """Whether a COCO annotation labels any keypoint."""
    return any(flag > 0 for flag in annotation['keypoints'][2::3])


def make_notes(
    path: Path,
    people: Sequence[Mapping],
    image_sizes: Mapping[int, tuple[float, float]],
) -> Iterator[str]:
    """Say how many annotations and images training leaves out or repairs.

    Args:
        path (Path): Their file, for the notes.
        people (sequence): Annotations of people in COCO's layout.
        image_sizes (mapping): Width and height of each image, by its id.

    Yields:
        str: A line for each kind of problem that there is. Crowds are no
        people.
    """
    repaired = 'with the transform SanitizeInstances, which the pipeline needs'
    problems = {
        'have a box that is empty or not finite: left out of training': (
            lambda a: not _has_area(a['bbox'])
        ),
        f'have a box outside their image: left out {repaired}': (
            lambda a: _is_outside(a['bbox'], image_sizes[a['image_id']])
        ),
        f'have keypoints that are not finite: invisible {repaired}': (
            lambda a: not all_finite(a['keypoints'])
        ),
        f'have visible keypoints outside their image: invisible {repaired}': (
            lambda a: _leaves(a['keypoints'], image_sizes[a['image_id']])
        ),
        'have no visible keypoint: not trained on': (
            lambda a: not has_visible_keypoint(a)
        ),
    }
    for what, is_bad in problems.items():
        bad = [a for a in people if not a.get('iscrowd') and is_bad(a)]
        if bad:
            yield (
                f'{path}: {len(bad)} of {len(people)} annotations {what} '
                f'(first: annotation {bad[0]["id"]} of image '
                f'{bad[0]["image_id"]})'
            )
    # those with a crowd alone are trained on by bottom-up models
    shown = {a['image_id'] for a in people}
    empty = [image_id for image_id in image_sizes if image_id not in shown]
    if empty:
        yield (
            f'{path}: {len(empty)} of {len(image_sizes)} images have nobody '
            f'annotated: not trained on (first: image {empty[0]})'
        )


def _has_area(bbox: Sequence[float]) -> bool:
    """Whether a box (x, y, width, height) is one."""
    return all_finite(bbox) and min(bbox[2:]) > 0


def _is_outside(bbox: Sequence[float], size: tuple[float, float]) -> bool:
    """Whether a box (x, y, width, height) shows nothing of the image."""
    return _has_area(bbox) and any(
        low >= side or low + length <= 0
        for low, length, side in zip(bbox[:2], bbox[2:], size, strict=True)
    )


def _leaves(keypoints: Sequence[float], size: tuple[float, float]) -> bool:
    """Whether a visible keypoint lies somewhere outside the image."""
    if not all_finite(keypoints):
        return False
    places = zip(keypoints[::3], keypoints[1::3], keypoints[2::3], strict=True)
    return any(
        flag > 0 and (x < 0 or y < 0 or x > size[0] or y > size[1])
        for x, y, flag in places
    )
