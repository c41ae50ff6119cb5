"""What can be wrong with one entry of a file in COCO's layout.

Each check returns what is wrong, or an empty text: the end of a sentence that
begins with the file and the entry.
"""

import math
from collections.abc import Container
from typing import Any

WHOLE_BODY = (
    ". COCO-WholeBody's parts are evaluated by mmpose's metric, "
    "type='CocoWholeBodyMetric'"
)


def is_number(value: Any) -> bool:
    """Whether a value of a JSON file is a finite number."""
    return not isinstance(value, bool) and are_numbers([value])


def are_numbers(values: Any, finite: bool = True) -> bool:
    """Whether a value of a JSON file is a list of (finite) numbers."""
    if not isinstance(values, list):
        return False
    try:
        # fast: one number that is not finite spoils the sum
        whole = math.isfinite(sum(values))
        return whole or not finite or all(map(math.isfinite, values))
    except (TypeError, OverflowError):
        return False


def is_labelled(person: dict) -> bool:
    """Whether a person, no crowd, has a labelled keypoint."""
    labelled = any(flag > 0 for flag in person['keypoints'][2::3])
    return labelled and not person.get('iscrowd')


def problem_of_person(
    person: dict,
    num_keypoints: int | None,
    categories: Container[int] | None = None,
    finite: bool = True,
) -> str:
    """What keeps anything from being done with an annotated person."""
    kind = 'finite numbers' if finite else 'numbers'
    joints, box = person.get('keypoints'), person.get('bbox')
    if not are_numbers(joints, finite):
        return f'has no list of {kind} as keypoints'
    expected = 3 * (num_keypoints or max(1, len(joints) // 3))
    if len(joints) != expected:
        return (
            f'has {len(joints)} numbers as keypoints, but {expected} are '
            f'needed for {expected // 3} joints (x, y and visibility of '
            'each): choose the data set type or metainfo of this file'
            + WHOLE_BODY
            * ('foot_kpts' in person)
        )
    if not are_numbers(box, finite) or len(box) != 4:
        return f'has the bbox {box}, not 4 {kind} (x, y, width, height)'
    if person.get('iscrowd', 0) not in (0, 1):
        return f'has the iscrowd {person["iscrowd"]!r}: it must be 0 or 1'
    number = person.get('num_keypoints', len(joints))
    if not is_number(number):
        return f'has the num_keypoints {number!r}: count the labelled ones'
    if number == 0 and is_labelled(person):
        return (
            'has labelled keypoints, but num_keypoints 0, by which data sets '
            'leave people out: count them, or leave num_keypoints out'
        )
    if categories is not None and person['category_id'] not in categories:
        return (
            f'is of category {person["category_id"]}, which the file does not '
            'list among its categories'
        )
    return ''


def problem_of_evaluated(person: dict, image: dict, use_area: bool) -> str:
    """What keeps a person from being found, or OKS from being defined."""
    counts, area = is_labelled(person), person.get('area')
    if counts and _is_empty(person['bbox'], image):
        return (
            f'has the box {person["bbox"]}, which is empty, or outside its '
            f'image of {image.get("width")}x{image.get("height")} pixels: '
            'top-down models would miss this person. Correct one of them'
        )
    if use_area and not is_number(area):
        return (
            f'has the area {area}, not a number: add it, or evaluate with '
            "use_area=False, which takes 0.53 of the box's (as for CrowdPose "
            'and AIC)'
        )
    if use_area and counts and area <= 0:
        return (
            f'has the area {area}, at which no pose can match: correct it, or '
            'evaluate with use_area=False'
        )
    return ''


def _is_empty(bbox_xywh: list[float], image: dict) -> bool:
    """Whether nothing of a box is left in its image, as mmpose clips it."""
    for axis, side in enumerate(('width', 'height')):
        low, length = bbox_xywh[axis], bbox_xywh[axis + 2]
        listed = image.get(side)
        last = listed - 1 if is_number(listed) else math.inf
        if min(low + length, last) <= max(low, 0):
            return True
    return False


def problem_of_segmentation(regions: Any, side: float, needed: bool) -> str:
    """What bottom-up data sets cannot mask with.

    A polygon that leaves a large image by more than it is long would be drawn
    in all of the memory.
    """
    if regions is None and not needed:
        return ''
    if regions is None:
        return (
            'has no segmentation, but the first of its image has, which '
            "mmpose's data sets cannot join: add one, an empty list if need be"
        )
    if isinstance(regions, dict):
        size, counts = regions.get('size'), regions.get('counts')
        good = isinstance(size, list) and [*map(type, size)] == [int, int]
        good = good and (
            isinstance(counts, str)
            or (are_numbers(counts) and sum(counts) == size[0] * size[1])
        )
    else:
        good = isinstance(regions, list) and all(
            are_numbers(polygon)
            and -side <= min(polygon, default=0)
            and max(polygon, default=0) <= 2 * side
            for polygon in regions
        )
    if good:
        return ''
    return (
        f'has the segmentation {str(regions)[:60]}, neither polygons about '
        'its image nor run lengths: correct it, or give an empty list'
    )
