"""MPII's images cut into what its evaluation looks at one by one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse.csgraph import connected_components

from ..errors import ConfigError
from ..files import read_json
from .annotations import MPII14_IDS, PIXEL_STD, MpiiImage
from .readers import read_matlab

PROTOCOLS = ('group', 'image')

# boxes reach this share of the side further down, as mmpose's MpiiDataset
_BOX_SHIFT = 15 / PIXEL_STD


@dataclass
class MpiiUnit:
    """A group of people, or all people of an image."""

    unit_id: int  # from 0
    protocol: str  # 'group' or 'image'
    image: MpiiImage  # with everybody in it
    img_id: int
    first_id: int  # of the image's first person; the others follow
    members: np.ndarray  # indices of the unit's people in the image
    bbox_xyxy: np.ndarray  # what holds the boxes of all, (4,), in pixels


def make_units(
    images: Sequence[MpiiImage],
    protocol: str,
    groups: Mapping[str, Sequence[np.ndarray]] | None = None,
    split: str | None = None,
    min_people: int = 1,
) -> list[MpiiUnit]:
    """Cut images into units of a protocol, those of ``groups`` if given.

    The id of an image is the number that is its file's name, as in mmpose;
    if any name isn't a number, ids are the places in the file, from 1. Ids
    of people count through the file from 1, whoever is left out. Without
    groups those of :func:`find_groups` are taken.

    Raises:
        ValueError: If an argument is unknown, nothing is left, or nothing
            tells where a group is.
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
        listed = None if groups is None else groups.get(image.name, [])
        if protocol == 'image' and listed != []:
            listed = [np.isfinite(person_boxes(image)).all(1).nonzero()[0]]
        elif listed is None:
            listed = find_groups(image)
        for members in listed:
            shown = image.annotated[members].any()
            if len(members) < max(min_people, 1) or (
                image.is_train and not shown
            ):
                continue
            boxes = person_boxes(image)[members]
            boxes = boxes[np.isfinite(boxes).all(1)]
            if len(boxes) == 0:
                raise ValueError(
                    f'image {image.name}, person '
                    f'{image.person_ids[members[0]]}: nothing tells where the '
                    'group is: no objpos with scale, joints or head box'
                )
            box = np.r_[boxes[:, :2].min(0), boxes[:, 2:].max(0)]
            ids = len(units), protocol, image, img_id, first_id
            units.append(MpiiUnit(*ids, members, box))
    if not units:
        raise ValueError(
            f'no {protocol} with at least {min_people} people is annotated '
            f'(split={split!r})'
        )
    return units


def find_groups(image: MpiiImage) -> list[np.ndarray]:
    """People whose squares of 100 x ``scale`` pixels overlap.

    Directly or through others; squares that only touch don't. This stands in
    for the official groups (:func:`read_groups`), whose rule is not public.
    People of whom nothing is known are in none.
    """
    boxes = person_boxes(image)
    known = np.isfinite(boxes).all(1).nonzero()[0]
    low, high = boxes[known, None, :2], boxes[known, None, 2:]
    quarter = (high - low) / 4
    low, high = low + quarter, high - quarter
    sides = np.minimum(high, high[:, 0]) - np.maximum(low, low[:, 0])
    _, labels = connected_components((sides > 0).all(-1), directed=False)
    _, first = np.unique(labels, return_index=True)
    return [known[labels == labels[index]] for index in np.sort(first)]


def person_boxes(image: MpiiImage) -> np.ndarray:
    """Boxes (N, 4): squares of 200 x ``scale`` pixels about ``objpos``.

    Where these are unknown, the extents of the joints and the head box.
    """
    half = 0.5 * PIXEL_STD * image.scales[:, None]
    boxes = np.concatenate([image.centers - half, image.centers + half], 1)
    unknown = ~np.isfinite(boxes).all(1) | (image.scales <= 0)
    points = np.where(image.annotated[..., None], image.keypoints, np.nan)
    heads = image.head_bboxes_xyxy.reshape(-1, 2, 2)
    for person in unknown.nonzero()[0]:
        corners = np.concatenate([points[person], heads[person]])
        corners = corners[np.isfinite(corners).all(1)]
        boxes[person] = np.nan
        if len(corners):
            boxes[person] = [*corners.min(0), *corners.max(0)]
    return boxes


def read_groups(
    path: str | PathLike, images: Sequence[MpiiImage]
) -> dict[str, list[np.ndarray]]:
    """Read which people are evaluated together: their indices, by image.

    - ``.mat``: the official ``groups_v12.mat``, whose ``groups{i}{k}`` has
      the people of the release's i-th image, counted from 1 as in its
      ``annorect``; groups of one person are left out, as by the toolkit
    - ``.json``: ``{"image.jpg": [[1, 2], [4, 5, 6]]}``, people likewise

    Raises:
        FileNotFoundError: If the file doesn't exist.
        ValueError: If it is of another form, or names an image or a person
            that is not annotated.
    """
    by_name = {image.name: image for image in images}
    listed: Any
    if Path(path).suffix.lower() == '.mat':
        listed = _read_official(path, images)
    else:
        listed = read_json(path)
    if not isinstance(listed, dict):
        raise ValueError(
            f'{path} must have groups as {{"image.jpg": [[1, 2], [3]]}}'
        )
    groups = {}
    for name, parts in listed.items():
        if name not in by_name:
            raise ConfigError(
                f'{path}: image {name} is not in the annotations'
            )
        people = by_name[name].person_ids.tolist()
        try:
            groups[name] = [
                np.array([people.index(person) for person in part], np.intp)
                for part in parts
            ]
            everybody = np.concatenate(groups[name])
            good = all(map(len, parts)) and len(set(everybody)) == len(
                everybody
            )
        except (TypeError, ValueError):
            good = False
        if not good:
            raise ConfigError(
                f'{path}: image {name} has the groups {parts!r}, which must '
                f'be lists of its people, {people}, each in one of them'
            )
    return groups


def _read_official(
    path: str | PathLike, images: Sequence[MpiiImage]
) -> dict[str, list[list[int]]]:
    """Numbers of the people of each group of two or more, by image."""
    cells = read_matlab(path, squeeze=False).get('groups', np.zeros(0))
    if cells.size != len(images) or cells.dtype != object:
        raise ValueError(
            f'{path}: "groups" must have a cell for each of the {len(images)} '
            'images of the annotations: groups_v12.mat goes with the '
            'release, mpii_human_pose_v1_u12_1.mat'
        )
    listed = {}
    for image, cell in zip(images, cells.ravel(), strict=True):
        groups = [np.ravel(group).tolist() for group in np.ravel(cell)]
        groups = [list(map(int, group)) for group in groups if len(group) > 1]
        if groups:
            listed[image.name] = groups
    return listed


def unit_annotations(unit: MpiiUnit, num_keypoints: int) -> list[dict]:
    """The people of a unit as COCO-like annotations, those with a place.

    Boxes (xywh) are those of mmpose's ``MpiiDataset`` without its shift by one
    pixel: a square of 200 x scale, 15 x scale below ``objpos``; ``area`` is
    0.53 times the box. ``person_id`` is the place in ``annorect``, from 1.
    """
    image = unit.image
    joints = np.arange(16) if num_keypoints == 16 else MPII14_IDS
    boxes = person_boxes(image)
    annotations = []
    for person in unit.members.tolist():
        box = boxes[person].copy()
        if not np.isfinite(box).all():
            continue
        if np.isfinite(image.centers[person]).all():
            box[1::2] += _BOX_SHIFT * (box[3] - box[1])
        shown = image.annotated[person, joints]
        points = np.c_[image.keypoints[person, joints], 2.0 * shown]
        size = image.head_sizes[person]
        width, height = (box[2:] - box[:2]).tolist()
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
                bbox=[*box[:2].tolist(), width, height],
                area=max(0.53 * (width * height), 1.0),
                head_size=None if np.isnan(size) else float(size),
                protocol=unit.protocol,
                group_id=unit.unit_id,
                group_bbox_xyxy=unit.bbox_xyxy.tolist(),
            )
        )
    return annotations
