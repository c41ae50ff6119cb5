"""People annotated in COCO's layout: read once, checked in one place."""

import math
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.fileio import get_local_path

from ..errors import ConfigError
from ..files import read_json

IOU_TYPES = ('keypoints', 'keypoints_crowd')


class KeypointAnnotations:
    """Content of an annotation file in COCO's layout.

    This is the one reader and the one validator of such files. A command
    reads a file once, checks it for what it is about to do with it, and hands
    it on::

        annotations = KeypointAnnotations.read('person_keypoints_val2017.json')
        annotations.check_evaluation(num_keypoints=17)

    Args:
        content (dict): Has the list ``images``, and maybe ``annotations`` and
            ``categories``.
        source (str): Where it comes from, for the messages. Defaults to
            ``'the annotations'``.

    Attributes:
        images (list[dict]): The images.
        annotations (list[dict]): What is annotated in them; empty in a list
            of a test server's images.
        categories (list[dict]): What an annotation can be; may be empty.

    Raises:
        ConfigError: There is no list of images, or an entry lacks the ids by
            which it is found. The message names the first.
    """

    def __init__(self, content: dict, source: str = 'the annotations') -> None:
        self.content = content
        self.source = source
        self.require('images')
        self.images = content['images']
        self.annotations = content.get('annotations', [])
        self.categories = content.get('categories', [])
        ids = ['id', 'image_id']
        if 'categories' in content:
            ids.append('category_id')
        for key, entries, names in (
            ('image', self.images, ['id']),
            ('category', self.categories, ['id']),
            ('annotation', self.annotations, ids),
        ):
            for index, entry in enumerate(entries):
                _check_ids(entry, names, f'{source}: {key} number {index}')

    @classmethod
    def read(cls, path: str | os.PathLike) -> 'KeypointAnnotations':
        """Read a file.

        Args:
            path (str | PathLike): The JSON file, here or where one of
                mmengine's file backends finds it.

        Returns:
            KeypointAnnotations: Its content.

        Raises:
            FileNotFoundError: There is no such file.
            ConfigError: It is not JSON, or not in COCO's layout.
        """
        with get_local_path(str(path)) as local_path:
            return cls(read_json(local_path), str(path))

    @property
    def people(self) -> list[dict]:
        """The annotations that have keypoints, crowds among them."""
        return [a for a in self.annotations if 'keypoints' in a]

    def require(self, *keys: str) -> None:
        """Raise a ConfigError if one of these lists is missing."""
        for key in keys:
            if not isinstance(self.content, dict) or not isinstance(
                self.content.get(key), list
            ):
                raise ConfigError(
                    f"{self.source} is not in COCO's layout: it has no list "
                    f'{key!r}'
                )

    def check_dataset(self, joint_names: Sequence[str]) -> None:
        """Check that mmpose's data sets can load the file.

        Coordinates may be NaN: training leaves such people out or hides the
        joints, see :meth:`training_notes`.

        Args:
            joint_names (Sequence[str]): Keypoints of the data set's skeleton,
                in order.

        Raises:
            ConfigError: A part is missing, or people have another skeleton
                or another order of joints. The message names the first.
        """
        self.require('categories')
        self._check_joint_order(joint_names)
        for image in self.images:
            problem = _problem_of_image(image)
            if problem:
                raise ConfigError(
                    f'{self.source}: image {image["id"]} {problem}'
                )
        people = self.people
        if self.annotations and not people:
            raise ConfigError(
                f'{self.source}: no annotation has keypoints. COCO has them '
                'in the files person_keypoints_*.json'
            )
        listed = {image['id'] for image in self.images}
        for person in people:
            problem = _problem_of_person(person, len(joint_names), False)
            if not problem and person['image_id'] not in listed:
                problem = 'is in an image that the file does not list'
            if problem:
                raise self._error(person, problem)

    def _check_joint_order(self, joint_names: Sequence[str]) -> None:
        """Refuse the skeleton's joints in another order; names may differ."""
        names = list(joint_names)
        for category in self.categories:
            listed = category.get('keypoints')
            if not isinstance(listed, list) or listed == names:
                continue
            if sorted(map(str, listed)) != sorted(names):
                continue
            place = next(i for i, n in enumerate(names) if listed[i] != n)
            raise ConfigError(
                f'{self.source}: keypoint {place} is {listed[place]!r} in the '
                f"file, but {names[place]!r} in the data set's skeleton: "
                'choose the data set type or metainfo of this file'
            )

    def check_evaluation(
        self,
        num_keypoints: int | None = None,
        use_area: bool = True,
        iou_type: str = 'keypoints',
    ) -> None:
        """Check that results can be compared with the people by OKS.

        As in the evaluation, annotations of images that are not listed do not
        count.

        Args:
            num_keypoints (int, optional): K. Defaults to None: not checked.
            use_area (bool): Whether the people's areas are needed. Defaults
                to True.
            iou_type (str): With ``'keypoints_crowd'`` CrowdPose's fields are
                needed. Defaults to ``'keypoints'``.

        Raises:
            ConfigError: An id comes twice, or OKS would not be defined. The
                message names the first entry.
        """
        if iou_type not in IOU_TYPES:
            raise ConfigError(
                f'iou_type must be one of {IOU_TYPES}: {iou_type!r}'
            )
        self.require('annotations')
        crowd = iou_type == 'keypoints_crowd'
        listed = set()
        for image in self.images:
            listed.add(image['id'])
            if crowd and not is_number(image.get('crowdIndex')):
                raise ConfigError(
                    f'{self.source}: image {image["id"]} has no crowdIndex, '
                    'which CrowdPose needs for easy, medium and hard'
                )
        seen = {}
        for index, person in enumerate(self.annotations):
            if person['image_id'] not in listed:
                continue
            first = seen.setdefault(person['id'], index)
            problem = _problem_of_person(person, num_keypoints, True)
            if first != index:
                problem = (
                    f'has the id of annotation number {first}: give every '
                    'person an id of their own'
                )
            elif crowd and not is_number(person.get('num_keypoints')):
                problem = 'has no num_keypoints, which CrowdPose needs'
            problem = problem or _problem_of_area(person, use_area)
            if problem:
                raise self._error(person, problem)

    def training_notes(self) -> list[str]:
        """Say what training leaves out or repairs.

        The file has passed :meth:`check_dataset`.

        Returns:
            list[str]: A line for each kind of problem that there is. Crowds
            are no people.

        Raises:
            ConfigError: Nobody has a visible keypoint.
        """
        self.require('annotations')
        people = self.people
        if not any(map(has_visible_keypoint, people)):
            raise ConfigError(
                f'{self.source}: nobody has a visible keypoint, so there is '
                'nothing to train on'
            )
        sizes = {i['id']: (i['width'], i['height']) for i in self.images}
        flawed = defaultdict(list)
        for person in people:
            if not person.get('iscrowd'):
                for flaw in _flaws_of(person, sizes[person['image_id']]):
                    flawed[flaw].append(person)
        notes = [
            f'{self.source}: {len(bad)} of {len(people)} annotations have '
            f'{flaw} (first: annotation {bad[0]["id"]} of image '
            f'{bad[0]["image_id"]})'
            for flaw, bad in flawed.items()
        ]
        # bottom-up models train on images with crowds alone
        shown = {person['image_id'] for person in people}
        empty = [image_id for image_id in sizes if image_id not in shown]
        if empty:
            notes.append(
                f'{self.source}: nobody is annotated in {len(empty)} of '
                f'{len(sizes)} images, which training leaves out (first: '
                f'image {empty[0]})'
            )
        return notes

    def _error(self, annotation: dict, problem: str) -> ConfigError:
        """Name an annotation and what is wrong with it."""
        return ConfigError(
            f'{self.source}: annotation {annotation["id"]} of image '
            f'{annotation["image_id"]} {problem}'
        )


def has_visible_keypoint(annotation: dict) -> bool:
    """Whether a COCO annotation labels any keypoint."""
    return any(flag > 0 for flag in annotation['keypoints'][2::3])


def is_number(value: Any) -> bool:
    """Whether a value of a JSON file is a finite number."""
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
    )


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


def _check_ids(entry: Any, names: Sequence[str], where: str) -> None:
    """Refuse an entry that lacks an id."""
    if not isinstance(entry, dict):
        raise ConfigError(f'{where} is {entry!r}, not an object')
    for name in names:
        if not isinstance(entry.get(name), int | str):
            if 'image_id' in entry and name != 'image_id':
                where += f' (image {entry["image_id"]})'
            raise ConfigError(
                f'{where} has the {name} {entry.get(name)!r}, not a number'
            )


def _problem_of_image(image: dict) -> str:
    """What keeps mmpose's data sets from an image, empty if nothing."""
    name = image.get('file_name')
    if not isinstance(name, str):
        return f'has the file_name {name!r}, which is not a text'
    for key in ('width', 'height'):
        value = image.get(key)
        if not is_number(value) or value <= 0:
            return f'({name}) has the {key} {value!r}, not a number of pixels'
    return ''


def _problem_of_person(
    person: dict, num_keypoints: int | None, finite: bool
) -> str:
    """What is wrong with an annotated person, empty if nothing."""
    kind = 'finite numbers' if finite else 'numbers'
    joints, box = person.get('keypoints'), person.get('bbox')
    if not are_numbers(joints, finite):
        return f'has no list of {kind} as keypoints'
    if num_keypoints is not None and len(joints) != 3 * num_keypoints:
        return (
            f'has {len(joints)} numbers as keypoints, but '
            f'{3 * num_keypoints} are needed for {num_keypoints} joints (x, y '
            'and visibility of each): choose the data set type or metainfo of '
            'this file'
        )
    if not are_numbers(box, finite) or len(box) != 4:
        return f'has the bbox {box}, not 4 {kind} (x, y, width, height)'
    return ''


def _problem_of_area(person: dict, use_area: bool) -> str:
    """What keeps OKS from being defined, empty if nothing."""
    counts = not person.get('iscrowd') and has_visible_keypoint(person)
    if not use_area:
        if counts and person['bbox'][2] * person['bbox'][3] <= 0:
            return (
                f'has the box {person["bbox"]}, which is empty: with '
                'use_area=False the area is a part of it'
            )
        return ''
    area = person.get('area')
    if not is_number(area):
        return (
            f'has the area {area}, not a number: add it, or evaluate with '
            "use_area=False, which takes 0.53 of the box's (as for CrowdPose "
            'and AIC)'
        )
    if counts and area <= 0:
        return (
            f'has the area {area}, at which no pose can match: correct it, or '
            'evaluate with use_area=False'
        )
    return ''


def _flaws_of(person: dict, size: tuple[float, float]) -> Iterator[str]:
    """What training leaves out or repairs of a person."""
    repaired = 'with SanitizeInstances in the pipeline, training'
    box, joints = person['bbox'], person['keypoints']
    if not are_numbers(box) or min(box[2:]) <= 0:
        yield 'an empty box or one that is not finite: training skips them'
    elif any(
        low >= side or low + length <= 0
        for low, length, side in zip(box[:2], box[2:], size, strict=True)
    ):
        yield f'a box outside their image: {repaired} skips them'
    if not are_numbers(joints):
        yield f'keypoints that are not finite: {repaired} hides these'
    elif any(
        flag > 0 and not (0 <= x <= size[0] and 0 <= y <= size[1])
        for x, y, flag in zip(*[iter(joints)] * 3, strict=True)
    ):
        yield f'visible keypoints outside their image: {repaired} hides these'
    if not has_visible_keypoint(person):
        yield 'no visible keypoint: training skips them'
