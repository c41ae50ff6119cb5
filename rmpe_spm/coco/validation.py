"""What is wrong with an annotation file, before hours are spent on it."""

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import cv2

from ..errors import ConfigError


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


ANNOTATION_KEYS = ('id', 'image_id', 'category_id', 'bbox', 'keypoints')


def check_coco_annotations(
    path: Path,
    joint_names: Sequence[str],
    evaluated: bool = False,
    annotated: bool = True,
) -> list[str]:
    """Check a file of keypoint annotations in COCO's layout.

    Args:
        path (Path): The JSON file.
        joint_names (Sequence[str]): Keypoints of the dataset's skeleton.
        evaluated (bool): Whether results are compared with the file, or a
            model is trained on it. Defaults to False.
        annotated (bool): Whether there must be annotations, which the images
            of a test server have none of. Defaults to True.

    Returns:
        list[str]: What training leaves out or repairs, a line each.

    Raises:
        ConfigError: The file is missing, no JSON, not in COCO's layout, or
            of another skeleton or order of joints; nobody is there to be
            trained on; or, as OKS would be wrong without a word, an
            evaluated file has keypoints that are not finite, or an id twice.
            Names the first offending entry.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise ConfigError(f"{path} is not in COCO's layout: no object")
    if not annotated:
        content.setdefault('annotations', [])
    for key in ('images', 'annotations', 'categories'):
        if not isinstance(content.get(key), list):
            raise ConfigError(
                f"{path} is not in COCO's layout: it has no list {key!r}"
            )
    num_keypoints = len(joint_names)
    for category in content['categories']:
        _check_order(category, joint_names, path)
    for index, image in enumerate(content['images']):
        _check_image(image, f'{path}: images[{index}]')
    image_sizes = {
        image['id']: (image['width'], image['height'])
        for image in content['images']
    }
    people = [a for a in content['annotations'] if 'keypoints' in a]
    if content['annotations'] and not people:
        raise ConfigError(
            f'{path}: no annotation has keypoints; COCO has them in the '
            'files person_keypoints_*.json'
        )
    for index, annotation in enumerate(people):
        _check_annotation(
            annotation, f'{path}: annotation', index, image_sizes
        )
        count, rest = divmod(len(annotation['keypoints']), 3)
        if count != num_keypoints or rest:
            raise ConfigError(
                f'{path}: annotation {annotation["id"]} of image '
                f'{annotation["image_id"]} has '
                f'{len(annotation["keypoints"])} keypoint numbers, but the '
                f"dataset's skeleton of {num_keypoints} keypoints needs "
                f'{3 * num_keypoints} (x, y and visibility of each): choose '
                'the dataset type or metainfo that belongs to this file'
            )
    if evaluated:
        _check_evaluated(path, people)
        return []
    if not any(map(has_visible_keypoint, people)):
        raise ConfigError(
            f'{path}: nobody has a visible keypoint: nothing to train on'
        )
    return list(make_notes(path, people, image_sizes))


def check_areas(path: Path) -> None:
    """Check that OKS has the areas of the people that results are compared to.

    Args:
        path (Path): The JSON file, known to be in COCO's layout.

    Raises:
        ConfigError: A person has no area. Names the first.
    """
    for annotation in read_json(path)['annotations']:
        area = annotation.get('area')
        if not isinstance(area, int | float):
            raise ConfigError(
                f'{path}: annotation {annotation["id"]} of image '
                f"{annotation['image_id']} has no 'area', on which OKS "
                'depends: add it, or set use_area=False, which takes a part '
                "of the box's"
            )


def check_detections(path: Path, ann_file: Path | None = None) -> None:
    """Check a file of person detections in COCO's results layout.

    Detections of other categories than 1, a person, are not used.

    Args:
        path (Path): The JSON file.
        ann_file (Path, optional): COCO annotations that must list the
            images of the detections. Defaults to None: any image will do.

    Raises:
        ConfigError: The file is missing, no JSON or of another layout, has
            no person, or a detection has no finite box or an image that is
            not listed. Boxes without area or outside their image pass: they
            are evaluated, and perturbed ones may lie there.
    """
    content = read_json(path)
    if not isinstance(content, list):
        raise ConfigError(
            f'{path} is no list of detections (COCO results layout)'
        )
    image_ids = None
    if ann_file is not None:
        image_ids = {image['id'] for image in read_json(ann_file)['images']}
    num_people = 0
    for index, detection in enumerate(content):
        where = f'{path}: detection {index}'
        keys = ('image_id', 'category_id', 'bbox', 'score')
        _require_keys(detection, keys, where)
        if detection['category_id'] != 1:
            continue
        num_people += 1
        _check_id(detection['image_id'], 'image_id', where)
        box = detection['bbox']
        if (
            not isinstance(box, list)
            or len(box) < 4
            or not all(isinstance(v, int | float) for v in box)
            or not all_finite(box)
        ):
            raise ConfigError(
                f'{where} of image {detection["image_id"]} has no box of 4 '
                f'finite numbers (x, y, width, height): {box}. Leave it out'
            )
        score = detection['score']
        if not isinstance(score, int | float) or not math.isfinite(score):
            raise ConfigError(
                f'{where} of image {detection["image_id"]} has no finite '
                f'score: {score!r}. Leave it out'
            )
        if image_ids is not None and detection['image_id'] not in image_ids:
            raise ConfigError(
                f'{where} is of image {detection["image_id"]}, which '
                f'{ann_file} does not list: give the detections that belong '
                'to these annotations, or leave such ones out'
            )
    if num_people == 0:
        raise ConfigError(
            f'{path} has no detection of a person (category_id 1)'
        )


def read_json(path: Path) -> object:
    """Read a file, or say what is wrong with it.

    Args:
        path (Path): The file.

    Returns:
        object: Its content.

    Raises:
        ConfigError: It is missing or no JSON.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f'{path} does not exist')
    try:
        return json.loads(path.read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f'{path} is no JSON ({error}): it is damaged or cut short, '
            'fetch or make it again'
        ) from None


def _require_keys(entry: object, keys: Iterable[str], where: str) -> None:
    missing = [
        k for k in keys if not isinstance(entry, dict) or k not in entry
    ]
    if missing:
        raise ConfigError(f'{where} lacks {", ".join(map(repr, missing))}')


def _check_order(
    category: object, joint_names: Sequence[str], path: Path
) -> None:
    """Refuse the skeleton's joints in another order; names may differ."""
    listed = category.get('keypoints') if isinstance(category, dict) else None
    listed = listed if isinstance(listed, list) else []
    if listed == list(joint_names) or set(listed) != set(joint_names):
        return
    pairs = enumerate(zip(listed, joint_names, strict=False))
    place, (got, want) = next(p for p in pairs if p[1][0] != p[1][1])
    raise ConfigError(
        f'{path}: its categories have {got!r} as keypoint {place}, the '
        f"dataset's skeleton {want!r}: choose the dataset type or metainfo "
        'that belongs to this file'
    )


def _check_id(value: object, key: str, where: str) -> None:
    if not isinstance(value, int | str):
        raise ConfigError(f'{where}: {key!r} is no number: {value!r}')


def _check_image(image: dict, where: str) -> None:
    _require_keys(image, ('id', 'file_name', 'width', 'height'), where)
    _check_id(image['id'], 'id', where)
    if not isinstance(image['file_name'], str):
        raise ConfigError(
            f"{where}: 'file_name' is no text: {image['file_name']!r}"
        )
    for key in ('width', 'height'):
        value = image[key]
        if not isinstance(value, int | float) or not 0 < value < math.inf:
            raise ConfigError(
                f'{where} ({image["file_name"]}): {key!r} is no number of '
                f'pixels: {value!r}'
            )


def _check_annotation(
    annotation: dict, where: str, index: int, image_ids: Iterable
) -> None:
    _require_keys(annotation, ANNOTATION_KEYS, f'{where} number {index}')
    for key in ('id', 'image_id', 'category_id'):
        _check_id(annotation[key], key, f'{where} number {index}')
    where = f'{where} {annotation["id"]}'
    if annotation['image_id'] not in image_ids:
        raise ConfigError(
            f'{where} belongs to image {annotation["image_id"]}, which is '
            "not in the file's images"
        )
    for key in ('bbox', 'keypoints'):
        values = annotation[key]
        if not isinstance(values, list) or not all(
            isinstance(value, int | float) for value in values
        ):
            raise ConfigError(f'{where}: {key!r} is no list of numbers')
    if len(annotation['bbox']) != 4:
        raise ConfigError(
            f'{where}: the box has {len(annotation["bbox"])} numbers, not 4 '
            '(x, y, width, height)'
        )


def _check_evaluated(path: Path, people: list[dict]) -> None:
    seen = set()
    for annotation in people:
        where = (
            f'{path}: annotation {annotation["id"]} of image '
            f'{annotation["image_id"]}'
        )
        if annotation['id'] in seen:
            raise ConfigError(
                f'{where} has the id of another one: in a file that results '
                'are compared with every annotation needs its own'
            )
        seen.add(annotation['id'])
        if not all_finite(annotation['keypoints']):
            raise ConfigError(
                f'{where} has keypoints that are not finite, with which OKS '
                'is no number: correct them, or set their visibility and '
                'coordinates to 0'
            )


def check_images(
    path: Path,
    folder: Path,
    bbox_file: Path | None = None,
    topdown: bool = False,
    any_format: bool = False,
) -> None:
    """Check that the images that a model is evaluated on are there.

    That each is whole is not looked at: this takes a second for thousands.

    Args:
        path (Path): The JSON file that lists them, known to be in COCO's
            layout.
        folder (Path): Where they are.
        bbox_file (Path, optional): Detections of a top-down model; images
            without any are not read. Defaults to None.
        topdown (bool): Whether images without people are not read, where
            there are no detections. Defaults to False.
        any_format (bool): Whether files will do that OpenCV cannot read.
            Defaults to False.

    Raises:
        ConfigError: Some are missing or no images. Names the first.
    """
    content = read_json(path)
    images = content['images']
    people = None
    if bbox_file is not None:
        people = (d for d in read_json(bbox_file) if d['category_id'] == 1)
    elif topdown:
        people = (
            a
            for a in content.get('annotations', ())
            if 'keypoints' in a and has_visible_keypoint(a)
        )
    if people is not None:
        shown = {person['image_id'] for person in people}
        images = [image for image in images if image['id'] in shown]
    readable = os.path.isfile if any_format else cv2.haveImageReader
    bad = [
        image
        for image in images
        if not readable(os.path.join(folder, image['file_name']))
    ]
    if bad:
        first = Path(folder, bad[0]['file_name'])
        state = 'is no image' if first.is_file() else 'does not exist'
        raise ConfigError(
            f'image {first} (image id {bad[0]["id"]}) {state}; {len(bad)} of '
            f'the {len(images)} images to be read are so. Restore them, or '
            f'remove them from {path}'
        )
