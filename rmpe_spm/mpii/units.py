"""MPII's images cut into what its evaluation looks at one by one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmpose.datasets.transforms import TopdownAffine
from mmpose.registry import TRANSFORMS

from .annotations import MPII14_IDS, PIXEL_STD, MpiiImage
from .groups import PersonGroup, find_groups, make_group, person_boxes


@TRANSFORMS.register_module()
class GroupAffine(TopdownAffine):
    """Crop a group of people, for MPII's group protocol.

    Takes the place of ``BottomupResize``: the group's box, padded and
    extended to the aspect ratio of the input, is warped to it as
    :class:`TopdownAffine` does for one person. Predictions of bottom-up
    models come back to the image as usual.

    A picture that has no group, as inferencers give them, is shown as a whole.

    Required Keys:

        - img
        - group_bbox (optional)
        - keypoints (optional)

    Modified Keys:

        - img
        - img_shape

    Added Keys:

        - input_size
        - input_center
        - input_scale
        - transformed_keypoints

    Args:
        input_size (tuple): (w, h) of the network's input.
        padding (float): How many times the group's box to show. Defaults to
            1.25.
        **kwargs: Other arguments of ``TopdownAffine``.
    """

    def __init__(
        self,
        input_size: tuple[int, int],
        padding: float = 1.25,
        **kwargs: Any,
    ) -> None:
        super().__init__(input_size, **kwargs)
        self.padding = padding

    def transform(self, results: dict) -> dict:
        """Crop the group.

        Args:
            results (dict): The sample.

        Returns:
            dict: The sample with the keys above.

        Raises:
            ValueError: If the sample has boxes of people, but no group.
        """
        if 'group_bbox' in results:
            padding, bbox_xyxy = self.padding, results['group_bbox']
        elif 'bbox' in results:
            raise ValueError(
                'GroupAffine needs the "group_bbox" of '
                'MpiiMultiPersonDataset, without a bbox_file'
            )
        else:
            height, width = results['img'].shape[:2]
            padding, bbox_xyxy = 1, [[0, 0, width, height]]
        low, high = np.split(np.float32(bbox_xyxy), 2, axis=1)
        region = dict(
            results,
            bbox_center=(low + high) / 2,
            bbox_scale=padding * (high - low),
        )
        region.pop('bbox_rotation', None)
        region = super().transform(region)
        # the region is the group's, not that of each of its people
        for name in ('bbox_center', 'bbox_scale'):
            del region[name]
        return region


PROTOCOLS = ('group', 'image')

# boxes reach this share of the side further down, as mmpose's MpiiDataset
_BOX_SHIFT = 15 / PIXEL_STD


@dataclass
class MpiiUnit:
    """A group of people, or all people of an image.

    Attributes:
        unit_id (int): Its number, from 0.
        image (MpiiImage): The image with everybody in it.
        img_id (int): The image's id.
        first_id (int): Id of the image's first person; the others follow.
        group (PersonGroup): Who belongs to the unit, and where it is.
    """

    unit_id: int
    image: MpiiImage
    img_id: int
    first_id: int
    group: PersonGroup


def make_units(
    images: Sequence[MpiiImage],
    protocol: str,
    groups: Mapping[str, Sequence[PersonGroup]] | None = None,
    split: str | None = None,
    min_people: int = 1,
) -> list[MpiiUnit]:
    """Cut images into units.

    The id of an image is the number that is its file's name, as in mmpose;
    if any name isn't a number, ids are the places in the file, from 1. Ids
    of people count through the file from 1, whoever is left out.

    Args:
        images (sequence): All images of a file.
        protocol (str): ``'group'`` or ``'image'``.
        groups (dict, optional): The groups of the images to take. Defaults
            to None: all images, people with overlapping boxes.
        split (str, optional): ``'train'`` for images whose annotations are
            public, ``'test'`` for the others. Defaults to None: both.
        min_people (int): Units with fewer people are left out. Defaults to
            1.

    Returns:
        list[MpiiUnit]: Units with annotated joints, and those of images
        that have no public annotations, if anything tells where the people
        are.

    Raises:
        ValueError: If an argument is unknown or nothing is left.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f'protocol {protocol!r} is not one of {PROTOCOLS}')
    if split not in (None, 'train', 'test'):
        raise ValueError(f"split {split!r} is not 'train', 'test' or None")
    stems = [image.name.split('.')[0] for image in images]
    numbers = range(1, len(images) + 1)
    if all(stem.isdecimal() for stem in stems):
        numbers = [int(stem) for stem in stems]
    if len(set(numbers)) < len(images):
        raise ValueError('two images of the annotations have the same number')
    units, next_id = [], 1
    for image, img_id in zip(images, numbers, strict=True):
        first_id, next_id = next_id, next_id + len(image)
        if len(image) == 0 or (split and image.is_train != (split == 'train')):
            continue
        if groups is not None:
            found = groups.get(image.name, [])
        elif protocol == 'group':
            found = find_groups(image)
        else:
            found = []
        if protocol == 'image' and (groups is None or found):
            known = np.isfinite(person_boxes(image)).all(1).nonzero()[0]
            found = [make_group(image, known)] if len(known) else []
        for group in found:
            shown = image.annotated[group.members].any()
            if len(group.members) < min_people or (
                image.is_train and not shown
            ):
                continue
            units.append(MpiiUnit(len(units), image, img_id, first_id, group))
    if not units:
        raise ValueError(
            f'no {protocol} with at least {min_people} people is annotated '
            f'(split={split!r})'
        )
    return units


def unit_annotations(
    unit: MpiiUnit, protocol: str, num_keypoints: int
) -> list[dict]:
    """The people of a unit as COCO-like annotations.

    Beside COCO's keys (``keypoints`` with a visibility of 2 for annotated
    joints, ``bbox`` as xywh, ``area`` of 0.53 times the box) each has
    ``head_size`` and ``head_bbox_xyxy`` (None where unknown),
    ``image_name``, ``person_id`` (the place in the release's ``annorect``,
    from 1), ``protocol``, ``group_id``, ``group_center``, ``group_scale``
    and ``group_bbox_xyxy``. Boxes are those of mmpose's ``MpiiDataset``
    without its shift by one pixel: a square of 200 x scale, 15 x scale below
    ``objpos``.

    Args:
        unit (MpiiUnit): The unit.
        protocol (str): Its kind.
        num_keypoints (int): 16, or 14 without pelvis and thorax.

    Returns:
        list[dict]: One a person; those without box and joints are left out.
    """
    image, group = unit.image, unit.group
    joints = np.arange(16) if num_keypoints == 16 else MPII14_IDS
    boxes = person_boxes(image)
    annotations = []
    for person in group.members.tolist():
        box = boxes[person].copy()
        if not np.isfinite(box).all():
            continue
        if np.isfinite(image.centers[person]).all():
            box[1::2] += _BOX_SHIFT * (box[3] - box[1])
        shown = image.annotated[person, joints]
        points = np.c_[image.keypoints[person, joints], 2.0 * shown]
        head = image.head_bboxes_xyxy[person]
        size = image.head_sizes[person]
        width, height = box[2:] - box[:2]
        annotations.append(
            dict(
                id=unit.first_id + person,
                image_id=unit.img_id,
                image_name=image.name,
                person_id=int(image.person_ids[person]),
                category_id=1,
                iscrowd=0,
                keypoints=points.ravel().tolist(),
                num_keypoints=int(shown.sum()),
                bbox=[*box[:2].tolist(), float(width), float(height)],
                area=max(0.53 * float(width * height), 1.0),
                head_size=None if np.isnan(size) else float(size),
                head_bbox_xyxy=(
                    None if np.isnan(head).any() else head.tolist()
                ),
                protocol=protocol,
                group_id=unit.unit_id,
                group_center=group.center.tolist(),
                group_scale=group.scale,
                group_bbox_xyxy=group.bbox_xyxy.tolist(),
            )
        )
    return annotations
