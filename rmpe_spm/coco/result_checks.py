"""What is wrong with annotations and results in COCO's layout."""

import logging
import math
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from mmengine.logging import print_log


def check_sample(
    sample: Mapping[str, Any],
    num_keypoints: int,
    converted_keypoints: int | None = None,
) -> None:
    """Check the predictions of one sample, before they are collected.

    Args:
        sample (mapping): The model's, with ``img_id`` and
            ``pred_instances``.
        num_keypoints (int): K of the data set.
        converted_keypoints (int, optional): K that a ``pred_converter``
            makes of the model's. Defaults to None: there is none.

    Raises:
        ValueError: If they have no joint scores, or joints of another
            skeleton.
    """
    poses = sample.get('pred_instances', {})
    if len(poses.get('keypoints', ())) == 0:
        return
    where = f'the predictions for image {sample["img_id"]} have'
    if poses.get('keypoint_scores') is None:
        raise ValueError(
            f'{where} no keypoint_scores, without which they cannot be ranked'
        )
    found = converted_keypoints or poses['keypoints'].shape[1]
    if found != num_keypoints:
        raise ValueError(
            f'{where} {found} joints, but the data set has {num_keypoints}: '
            'convert them with pred_converter, or evaluate on the data set '
            'that the model was trained for'
        )


def check_unique(predictions: Sequence[Mapping[str, Any]]) -> None:
    """Refuse two predictions for a sample; mmpose would drop some.

    Args:
        predictions (sequence): As ``CocoMetric`` collects them, with ``id``,
            ``img_id`` and ``keypoints``.

    Raises:
        ValueError: Names the first sample that came twice.
    """
    seen = set()
    for each in predictions:
        if len(each['keypoints']) == 0:
            continue
        name = each['id']
        name = tuple(name) if isinstance(name, list) else name
        if (each['img_id'], name) in seen:
            raise ValueError(
                f'image {each["img_id"]}: the predictions for the sample '
                f'{each["id"]} came twice: every person (of a top-down '
                'data set) or image needs an id of its own'
            )
        seen.add((each['img_id'], name))


IOU_TYPES = ('keypoints', 'keypoints_crowd')

# What an annotation file has.
LISTS = ('images', 'annotations', 'categories')


def check_layout(
    content: Any, keys: Iterable[str], source: str = 'the annotations'
) -> None:
    """Check that all is there by which annotations are found.

    Args:
        content (dict): Content of the annotation file.
        keys (iterable): Which of ``'images'``, ``'annotations'`` and
            ``'categories'`` are needed.
        source (str): Where it comes from, for the messages.

    Raises:
        ValueError: Names the first list that is missing, or the first entry
            that lacks something.
    """
    for key in keys:
        if not isinstance(content, dict) or not isinstance(
            content.get(key), list
        ):
            raise ValueError(
                f"{source}: no COCO annotations, there is no list '{key}'"
            )
    needed = dict(images=['id'], annotations=['id', 'image_id'])
    needed['categories'] = ['id']
    if 'categories' in content:
        needed['annotations'].append('category_id')
    names = dict(images='image', annotations='annotation')
    names['categories'] = 'category'
    for key in keys:
        for index, entry in enumerate(content[key]):
            where = f'{source}: {names[key]} number {index}'
            if not isinstance(entry, dict):
                raise ValueError(f'{where} is {entry!r}, not an object')
            for name in needed[key]:
                if entry.get(name) is None:
                    image = entry.get('image_id')
                    image = '' if image is None else f' (image {image})'
                    raise ValueError(f'{where}{image} has no {name}')


def check_annotations(
    annotations: Any,
    num_keypoints: int | None = None,
    use_area: bool = True,
    iou_type: str = 'keypoints',
    source: str = 'the annotations',
) -> None:
    """Check that results can be evaluated against annotations.

    Annotations of images that are not listed are left out, as they are by
    the evaluation.

    Args:
        annotations (dict): Content of the annotation file.
        num_keypoints (int, optional): K. Defaults to None: not checked.
        use_area (bool): Whether the people's areas are needed. Defaults to
            True.
        iou_type (str): With ``'keypoints_crowd'`` CrowdPose's fields are
            needed. Defaults to ``'keypoints'``.
        source (str): Where they come from, for the messages.

    Raises:
        ValueError: Names the first entry that can't be evaluated.
    """
    if iou_type not in IOU_TYPES:
        raise ValueError(f'iou_type must be one of {IOU_TYPES}: {iou_type!r}')
    check_layout(annotations, ('images', 'annotations'), source)
    crowd = iou_type == 'keypoints_crowd'
    images = set()
    for image in annotations['images']:
        images.add(image['id'])
        if crowd and not _is_number(image.get('crowdIndex')):
            raise ValueError(
                f'{source}: image {image["id"]} has no crowdIndex, which '
                "iou_type='keypoints_crowd' needs for easy, medium and hard"
            )
    seen = {}
    for index, person in enumerate(annotations['annotations']):
        if person['image_id'] not in images:
            continue
        name = person['id']
        where = f'{source}: annotation {name} of image {person["image_id"]}'
        if name in seen:
            raise ValueError(
                f'{where} has the same id as number {seen[name]} in the '
                'list, and one of them would be evaluated twice: give every '
                'person an id of its own'
            )
        seen[name] = index
        problem = _problem_of_person(person, num_keypoints, use_area, crowd)
        if problem:
            raise ValueError(f'{where} {problem}')


def check_results(
    results: Any,
    num_keypoints: int,
    image_ids: Container | None = None,
    category_ids: Container | None = None,
    source: str = 'the results',
) -> None:
    """Check keypoint results in COCO's layout.

    Args:
        results (list[dict]): ``image_id``, ``keypoints`` (x, y and score of
            each joint), ``score`` and maybe ``category_id``, ``bbox`` and
            ``id``, each of which may be there once.
        num_keypoints (int): K.
        image_ids (container, optional): Images that may have results.
            Defaults to None: any.
        category_ids (container, optional): Categories that every result
            must be of. Defaults to None: not checked.
        source (str): Where they come from, for the messages.

    Raises:
        ValueError: Names the first entry that is wrong, or says that there
            are none.
    """
    if not isinstance(results, list):
        raise ValueError(
            f'{source}: not a list of results as COCO has them, but '
            f'{type(results).__name__}'
        )
    if not results:
        raise ValueError(
            f'{source}: empty, there is not a single pose to evaluate'
        )
    seen = {}
    for index, result in enumerate(results):
        problem = _problem_of_result(
            result, num_keypoints, image_ids, category_ids
        )
        if not problem and 'id' in result:
            first = seen.setdefault(result['id'], index)
            if first != index:
                problem = f'has the id {result["id"]} of result {first}'
        if problem:
            image = result.get('image_id') if isinstance(result, dict) else '?'
            raise ValueError(
                f'{source}: result {index} (image {image}) {problem}'
            )


def check_scored(
    results: list[dict], source: str = 'the results', strict: bool = True
) -> None:
    """Warn of poses that COCO's evaluation leaves out without a word.

    Args:
        results (list[dict]): Checked by :func:`check_results`.
        source (str): Where they come from, for the messages.
        strict (bool): Whether it is an error if all are left out. Defaults
            to True.

    Raises:
        ValueError: If no pose has a joint of a positive score.
    """
    unscored = [
        index
        for index, result in enumerate(results)
        if max(result['keypoints'][2::3]) <= 0
    ]
    if not unscored:
        return
    text = (
        f'{source}: {len(unscored)} of {len(results)} poses have no joint '
        'with a score above 0 and do not count (the first: result '
        f'{unscored[0]}, image {results[unscored[0]]["image_id"]})'
    )
    if len(unscored) == len(results):
        text += ': no pose is left, and AP would be 0'
        if strict:
            raise ValueError(text)
    print_log(text, 'current', level=logging.WARNING)


def _problem_of_person(
    person: dict, num_keypoints: int | None, use_area: bool, crowd: bool
) -> str:
    """What is wrong with an annotated person, empty if nothing."""
    joints = person.get('keypoints')
    if not _are_numbers(joints):
        return "has no list of finite numbers 'keypoints'"
    if num_keypoints is not None and len(joints) != 3 * num_keypoints:
        return (
            f'has {len(joints)} numbers in keypoints, {3 * num_keypoints} '
            f'are needed for {num_keypoints} joints: these are annotations '
            'of another skeleton'
        )
    box = person.get('bbox')
    if not _are_numbers(box) or len(box) != 4:
        return 'has no bbox of 4 finite numbers (x, y, width, height)'
    if crowd and not _is_number(person.get('num_keypoints')):
        return "has no num_keypoints, needed for iou_type='keypoints_crowd'"
    counts = not person.get('iscrowd') and any(v > 0 for v in joints[2::3])
    if use_area:
        area = person.get('area')
        if area is None:
            return (
                'has no area: without areas (CrowdPose, AIC) evaluate with '
                'use_area=False, which takes 0.53 of the box'
            )
        if not _is_number(area) or (counts and area <= 0):
            return (
                f'has the area {area}, with which nobody could be found: '
                'mend it, or evaluate with use_area=False'
            )
    elif counts and box[2] * box[3] <= 0:
        return f'has an empty box {box}, which the area is taken from'
    return ''


def _problem_of_result(
    result: Any,
    num_keypoints: int,
    image_ids: Container | None,
    category_ids: Container | None,
) -> str:
    """What is wrong with a result, empty if nothing."""
    if not isinstance(result, dict) or 'image_id' not in result:
        return 'has no image_id'
    if image_ids is not None and result['image_id'] not in image_ids:
        return 'is for an image that the annotations do not list'
    if category_ids is not None:
        if 'category_id' not in result:
            return 'has no category_id'
        if result['category_id'] not in category_ids:
            return (
                f'is of category {result["category_id"]}, which the '
                'annotations do not list'
            )
    joints = result.get('keypoints')
    if not isinstance(joints, list) or len(joints) != 3 * num_keypoints:
        number = len(joints) if isinstance(joints, list) else 'no'
        return (
            f'needs {num_keypoints} times x, y and score in keypoints, but '
            f'has {number} numbers there'
        )
    if not _are_numbers(joints):
        for place, value in enumerate(joints):
            if not _is_number(value):
                return (
                    f'has {value} as {("x", "y", "score")[place % 3]} of '
                    f'joint {place // 3}'
                )
    if 'score' not in result:
        return 'has no score'
    if not _is_number(result['score']):
        return f'has the score {result["score"]}, not a finite number'
    box = result.get('bbox')
    if box and (not _are_numbers(box) or len(box) != 4):
        return f'has the bbox {box}, not 4 finite numbers'
    return ''


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
    )


def _are_numbers(values: Any) -> bool:
    """Whether it is a list of finite numbers."""
    if not isinstance(values, list):
        return False
    try:
        # fast: one number that isn't finite spoils the sum
        return math.isfinite(sum(values)) or all(map(_is_number, values))
    except (TypeError, OverflowError):
        return False
