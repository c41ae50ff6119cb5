"""People annotated in COCO's layout: read once, checked in one place."""

import os
from collections.abc import Sequence
from typing import Any

from mmengine.fileio import get_local_path

from ..errors import ConfigError
from ..files import read_json
from .entries import (
    is_labelled,
    is_number,
    problem_of_evaluated,
    problem_of_person,
    problem_of_segmentation,
)

IOU_TYPES = ('keypoints', 'keypoints_crowd')


class KeypointAnnotations:
    """Content of an annotation file in COCO's layout.

    The one reader and the one validator of such files. A command reads a file
    once, checks it for what it is about to do with it, and hands it on::

        annotations = KeypointAnnotations.read('person_keypoints_val2017.json')
        annotations.check_evaluation(num_keypoints=17)

    ``source`` is what messages call it.

    Raises:
        ConfigError: There is no list of images, or an entry lacks the ids by
            which it is found, or has those of another. The message names the
            first.
    """

    def __init__(self, content: dict, source: str = 'the annotations') -> None:
        self.content = content
        self.source = source
        self.require('images')
        optional = [k for k in ('annotations', 'categories') if k in content]
        self.require(*optional)
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
            seen = {}
            for index, entry in enumerate(entries):
                where = f'{source}: {key} number {index}'
                _check_ids(entry, names, where)
                first = seen.setdefault(entry['id'], index)
                if first != index:
                    raise ConfigError(
                        f'{where} has the id {entry["id"]} of {key} number '
                        f'{first}: give each an id of its own (files that '
                        'were joined have some twice)'
                    )

    @classmethod
    def read(cls, path: str | os.PathLike) -> 'KeypointAnnotations':
        """Read a JSON file, from any of mmengine's file backends.

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

    @property
    def sizes(self) -> dict[int, tuple[float, float]]:
        """Listed (w, h) of the images by id; ConfigError if one has none."""
        sizes = {}
        for image in self.images:
            for key in ('width', 'height'):
                value = image.get(key)
                if not is_number(value) or value <= 0:
                    raise ConfigError(
                        f'{self.source}: image {image["id"]} '
                        f'({image.get("file_name")}) has the {key} {value!r}, '
                        'not a number of pixels'
                    )
            sizes[image['id']] = image['width'], image['height']
        return sizes

    def find_person_category(self) -> dict:
        """Find the one category of the people, which a model predicts.

        Raises:
            ConfigError: The people are of several categories, which a model
                does not tell from one another.
        """
        known = {category['id']: category for category in self.categories}
        used = {person.get('category_id', 1) for person in self.people}
        if len(used) > 1:
            raise ConfigError(
                f'{self.source}: people with keypoints are of the categories '
                f'{sorted(used)}, which a model does not tell apart: give '
                'all of them one category_id'
            )
        if used:
            (number,) = used
            return known.get(number, dict(id=number))
        listing = (c for c in self.categories if c.get('keypoints'))
        return next(listing, known.get(1, dict(id=1)))

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

    def check_dataset(
        self, joint_names: Sequence[str], bottom_up: bool = False
    ) -> None:
        """Check that mmpose's data sets can load the file.

        ``joint_names`` are the skeleton's, in order; segmentations count where
        ``bottom_up``. Coordinates may be NaN: training leaves such people out
        or hides the joints.

        Raises:
            ConfigError: A part is missing, or people have another skeleton
                or another order of joints. The message names the first.
        """
        for image in self.images:
            if not isinstance(image.get('file_name'), str):
                raise ConfigError(
                    f'{self.source}: image {image["id"]} has the file_name '
                    f'{image.get("file_name")!r}, which is not a text'
                )
        self.check_people(joint_names, bottom_up, finite=False)

    def check_people(
        self,
        joint_names: Sequence[str] | None = None,
        bottom_up: bool = False,
        finite: bool = True,
    ) -> None:
        """Check what is annotated in images whose files are not needed.

        As :meth:`check_dataset`, by default with the joints that the file
        lists, and coordinates that are finite.
        """
        self.require('categories')
        if joint_names is None:
            joint_names = self.find_person_category().get('keypoints') or []
        self._check_joint_order(joint_names)
        sizes = self.sizes
        people = self.people
        if self.annotations and not people:
            raise ConfigError(
                f'{self.source}: no annotation has keypoints. COCO has them '
                'in the files person_keypoints_*.json'
            )
        categories = self._category_ids()
        # mmpose joins the regions of an image if the first person's are a list
        first = {p['image_id']: p for p in reversed(people)}
        outlined = {
            image_id
            for image_id, person in first.items()
            if isinstance(person.get('segmentation'), list)
        }
        for person in people:
            image_id = person['image_id']
            problem = problem_of_person(
                person, len(joint_names), categories, finite
            )
            if not problem and image_id not in sizes:
                problem = 'is in an image that the file does not list'
            if not problem and bottom_up:
                problem = problem_of_segmentation(
                    person.get('segmentation'),
                    max(sizes[image_id]),
                    image_id in outlined,
                )
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
        count. Areas are needed if ``use_area``, CrowdPose's fields with the
        ``iou_type`` ``'keypoints_crowd'``.

        Raises:
            ConfigError: OKS or AP would not be defined, or perfect poses
                would not reach an AP of 1. The message names the first entry.
        """
        if iou_type not in IOU_TYPES:
            raise ConfigError(
                f'iou_type must be one of {IOU_TYPES}: {iou_type!r}'
            )
        self.require('annotations')
        crowd = iou_type == 'keypoints_crowd'
        for image in self.images:
            if crowd and not is_number(image.get('crowdIndex')):
                raise ConfigError(
                    f'{self.source}: image {image["id"]} has no crowdIndex, '
                    'which CrowdPose needs for easy, medium and hard'
                )
        images = {image['id']: image for image in self.images}
        categories = self._category_ids()
        somebody = False
        for person in self.annotations:
            image = images.get(person['image_id'])
            if image is None:
                continue
            problem = problem_of_person(person, num_keypoints, categories)
            if not problem and crowd and 'num_keypoints' not in person:
                problem = 'has no num_keypoints, which CrowdPose needs'
            problem = problem or problem_of_evaluated(person, image, use_area)
            if problem:
                raise self._error(person, problem)
            num_keypoints = len(person['keypoints']) // 3
            somebody = somebody or is_labelled(person)
        if not somebody:
            raise ConfigError(
                f'{self.source}: nobody with a labelled keypoint is annotated '
                'in its images, so that there is no AP'
            )

    def check_training(self) -> None:
        """Raise a ConfigError if nobody has a visible keypoint."""
        self.require('annotations')
        if not any(map(is_labelled, self.people)):
            raise ConfigError(
                f'{self.source}: nobody has a visible keypoint, so there is '
                'nothing to train on'
            )

    def _category_ids(self) -> set[int] | None:
        """The categories listed; None if the file has no list of them."""
        if 'categories' not in self.content:
            return None
        return {category['id'] for category in self.categories}

    def _error(self, annotation: dict, problem: str) -> ConfigError:
        """Name an annotation and what is wrong with it."""
        return ConfigError(
            f'{self.source}: annotation {annotation["id"]} of image '
            f'{annotation["image_id"]} {problem}'
        )


def _check_ids(entry: Any, names: Sequence[str], where: str) -> None:
    """Refuse an entry that lacks an id."""
    if not isinstance(entry, dict):
        raise ConfigError(f'{where} is {entry!r}, not an object')
    for name in names:
        if type(entry.get(name)) is not int:
            if 'image_id' in entry and name != 'image_id':
                where += f' (image {entry["image_id"]})'
            raise ConfigError(
                f'{where} has the {name} {entry.get(name)!r}, not a whole '
                'number'
            )
