"""Groups of people that MPII's multi-person evaluation looks at one by one."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Union

import numpy as np
from scipy.sparse.csgraph import connected_components

from .annotations import PIXEL_STD, MpiiImage
from .readers import read_rmpe_list

# a listed person and an annotated one are the same this near to each other
_SAME_CENTER = 1.0
_SAME_SCALE = 1e-3


@dataclass
class PersonGroup:
    """People of an image who are evaluated together.

    Attributes:
        members (np.ndarray): Their indices among the image's people.
        center (np.ndarray): Mean of their centres, (2,), in pixels.
        scale (float): Mean of their scales: height over 200 pixels.
        bbox_xyxy (np.ndarray): What holds the boxes of all, (4,), in pixels.
    """

    members: np.ndarray
    center: np.ndarray
    scale: float
    bbox_xyxy: np.ndarray


def person_boxes(image: MpiiImage) -> np.ndarray:
    """Boxes of people: squares of 200 x ``scale`` pixels about ``objpos``.

    Where these are unknown, the extents of the annotated joints and the
    head box; NaN where nothing is known.

    Args:
        image (MpiiImage): The people.

    Returns:
        np.ndarray: Boxes (N, 4) as xyxy, in pixels.
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


def connected_groups(bboxes_xyxy: np.ndarray) -> list[np.ndarray]:
    """Sets of boxes that overlap one another, directly or through others.

    Boxes that only touch don't overlap, and those with NaN nothing.

    Args:
        bboxes_xyxy (np.ndarray): Shape (N, 4), in pixels.

    Returns:
        list[np.ndarray]: Indices of each set, ascending; the sets by their
        first.
    """
    if len(bboxes_xyxy) == 0:
        return []
    low, high = bboxes_xyxy[:, None, :2], bboxes_xyxy[:, None, 2:]
    sides = np.minimum(high, high[:, 0]) - np.maximum(low, low[:, 0])
    _, labels = connected_components((sides > 0).all(-1), directed=False)
    _, first = np.unique(labels, return_index=True)
    return [(labels == labels[index]).nonzero()[0] for index in np.sort(first)]


def make_group(image: MpiiImage, members: Any) -> PersonGroup:
    """A group with its place, mean scale and box.

    Args:
        image (MpiiImage): The image.
        members (array-like): Indices of the group's people.

    Returns:
        PersonGroup: The group. Centres and scales that are unknown are
        those of the person's box.
    """
    members = np.asarray(members, dtype=np.intp)
    boxes = person_boxes(image)[members]
    centers, scales = image.centers[members], image.scales[members]
    sides = boxes[:, 2:] - boxes[:, :2]
    centers = np.where(
        np.isnan(centers), (boxes[:, :2] + boxes[:, 2:]) / 2, centers
    )
    scales = np.where(np.isnan(scales), sides.max(1) / PIXEL_STD, scales)
    known = np.isfinite(boxes).all(1)
    if not known.any():
        raise ValueError(
            f'image {image.name}, person {image.person_ids[members[0]]}: '
            'nothing tells where the group is: no objpos with scale, joints '
            'or head box'
        )
    boxes = boxes[known]
    return PersonGroup(
        members,
        np.nanmean(centers, 0),
        float(np.nanmean(scales)),
        np.r_[boxes[:, :2].min(0), boxes[:, 2:].max(0)],
    )


def find_groups(image: MpiiImage) -> list[PersonGroup]:
    """The groups of an image: people whose boxes overlap.

    The lists of the published tables come with the multi-person toolkit;
    this is what to use without them. The rule that made them is not part of
    the release: overlapping squares (:func:`person_boxes`) stand in for it.

    Args:
        image (MpiiImage): The image.

    Returns:
        list[PersonGroup]: All groups, also of one person. People of whom
        nothing is known are in none.
    """
    boxes = person_boxes(image)
    return [
        make_group(image, members)
        for members in connected_groups(boxes)
        if np.isfinite(boxes[members]).all()
    ]


def read_groups(
    path: Union[str, PathLike], images: Sequence[MpiiImage]
) -> dict[str, list[PersonGroup]]:
    """Read which people are evaluated together.

    - ``.json``: ``{"image.jpg": [[1, 2], [4, 5, 6]]}``, people counted from
      1 as in the release's ``annorect``
    - ``.txt``: the list of RMPE's authors; all who are listed for an image
      are one group, found among the annotated by centre and scale

    Args:
        path (str | PathLike): The file.
        images (sequence): The annotations.

    Returns:
        dict: For each image of the file its groups.

    Raises:
        FileNotFoundError: If the file doesn't exist.
        ValueError: If it is of another form, or names an image or a person
            that is not annotated.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'there is no file of groups at {path}')
    by_name = {image.name: image for image in images}
    if path.suffix.lower() == '.txt':
        listed = {
            image.name: [image] for image in read_rmpe_list(path)
        }  # one group an image
        place = _places_of_listed
    else:
        try:
            listed = json.loads(path.read_text(encoding='utf-8'))
        except ValueError as error:
            raise ValueError(f'{path} is not a JSON file: {error}') from error
        if not isinstance(listed, dict):
            raise ValueError(
                f'{path} must have groups as {{"image.jpg": [[1, 2], [3]]}}'
            )
        place = _places_of_ids
    groups = {}
    for name, members in listed.items():
        if name not in by_name:
            raise ValueError(
                f'{path} has groups of the image {name}, which is not in the '
                'annotations'
            )
        image, where = by_name[name], f'{path}: image {name}'
        if not isinstance(members, list):
            raise ValueError(
                f'{where} has {members!r} in place of a list of groups'
            )
        found = [place(image, group, where) for group in members]
        everybody = np.concatenate([np.zeros(0, np.intp), *found])
        values, counts = np.unique(everybody, return_counts=True)
        if counts.max(initial=0) > 1:
            person = image.person_ids[values[counts.argmax()]]
            raise ValueError(f'{where} has the person {person} twice')
        groups[name] = [make_group(image, each) for each in found]
    return groups


def _places_of_ids(image: MpiiImage, group: Any, where: str) -> np.ndarray:
    """Indices of people by their numbers in the file."""
    places = {int(person): i for i, person in enumerate(image.person_ids)}
    if not isinstance(group, list) or not group:
        raise ValueError(f'{where} has {group!r} in place of a list of people')
    for person in group:
        if not isinstance(person, int) or person not in places:
            raise ValueError(
                f'{where} has the person {person!r}, but the annotations '
                f'have {sorted(places)}'
            )
    return np.array([places[person] for person in group])


def _places_of_listed(
    image: MpiiImage, group: MpiiImage, where: str
) -> np.ndarray:
    """Indices of people by their centres and scales."""
    found = []
    for person in range(len(group)):
        offset = np.abs(image.centers - group.centers[person]).max(1)
        change = np.abs(image.scales - group.scales[person])
        same = (offset <= _SAME_CENTER) & (change <= _SAME_SCALE)
        if not same.any():
            raise ValueError(
                f'{where}: nobody in the annotations is at '
                f'{group.centers[person].tolist()} with the scale '
                f'{group.scales[person]}'
            )
        found.append(int(same.argmax()))
    return np.array(found)
