"""The ``.mat`` file of MPII's release."""

from os import PathLike
from typing import Any, Union

import numpy as np
from scipy.io import loadmat

from ..structures.mpii_joints import head_size
from .mpii_annotations import MpiiImage, check_finite


def read_release(path: Union[str, PathLike]) -> list[MpiiImage]:
    """Read ``mpii_human_pose_v1_u12_1.mat``.

    Its structure ``RELEASE`` has for the i-th image

    - ``annolist(i).image.name``
    - ``annolist(i).annorect(j)``: head box ``x1, y1, x2, y2``, ``scale``,
      ``objpos.x``, ``objpos.y`` and ``annopoints.point(k)`` with ``x``,
      ``y``, ``id`` (0 to 15) and ``is_visible``; any of them may be missing
      or empty
    - ``img_train(i)``: 1 for training
    - ``single_person{i}``: which j are sufficiently apart from the others,
      counted from 1

    Every point counts as annotated, whatever its ``is_visible``, which the
    release gives as a number, a string or nothing.

    Args:
        path (str | PathLike): The file.

    Returns:
        list[MpiiImage]: All images, in order.

    Raises:
        ValueError: If the file is not of this form.
    """
    try:
        content = loadmat(str(path), struct_as_record=False, squeeze_me=True)
    except Exception as error:  # scipy raises errors of many kinds
        raise ValueError(
            f'{path} is not a MATLAB file that can be read: {error!r}'
        ) from error
    release = content.get('RELEASE')
    for name in ('annolist', 'img_train', 'single_person'):
        if not hasattr(release, name):
            raise ValueError(
                f'{path} has no RELEASE.{name}: it is not the release of '
                'MPII Human Pose, mpii_human_pose_v1_u12_1.mat'
            )
    annolist = np.atleast_1d(release.annolist)
    train = np.atleast_1d(release.img_train)
    # squeezing leaves nothing of a cell array of one
    single = [release.single_person]
    if len(annolist) > 1:
        single = release.single_person
    if not len(annolist) == len(train) == len(single):
        raise ValueError(
            f'{path}: RELEASE has {len(annolist)} images in annolist, '
            f'{len(train)} in img_train and {len(single)} in single_person'
        )
    return [
        _read_image(path, *entry)
        for entry in enumerate(zip(annolist, train, single, strict=True))
    ]


def _read_image(
    path: Union[str, PathLike], index: int, entry: tuple[Any, Any, Any]
) -> MpiiImage:
    """One entry of ``annolist`` with its flags."""
    annotation, train, single = entry
    name = getattr(getattr(annotation, 'image', None), 'name', None)
    if not isinstance(name, str):
        raise ValueError(f'{path}: image {index + 1} of annolist has no name')
    rects = _structs(getattr(annotation, 'annorect', None))
    image = MpiiImage.unknown(name, len(rects), bool(train))
    singles = np.atleast_1d(single).astype(np.intp)
    if np.any((singles < 1) | (singles > len(rects))):
        raise ValueError(
            f'{path}: image {name} lists {singles.tolist()} in '
            f'single_person, but has {len(rects)} people'
        )
    image.single[singles - 1] = True
    for person, rect in enumerate(rects):
        where = f'{path}: image {name}, person {person + 1}'
        image.head_bboxes_xyxy[person] = [
            _number(rect, side, where) for side in ('x1', 'y1', 'x2', 'y2')
        ]
        image.scales[person] = _number(rect, 'scale', where)
        place = getattr(rect, 'objpos', None)
        image.centers[person] = [_number(place, xy, where) for xy in 'xy']
        points = getattr(getattr(rect, 'annopoints', None), 'point', None)
        for point in _structs(points):
            joint = _number(point, 'id', where)
            if joint not in range(16):
                raise ValueError(
                    f'{where} has a point with the id {joint}, but the ids '
                    'of MPII are 0 to 15'
                )
            joint = int(joint)
            if image.annotated[person, joint]:
                raise ValueError(f'{where} has two points with the id {joint}')
            image.annotated[person, joint] = True
            image.keypoints[person, joint] = [
                _number(point, xy, where) for xy in 'xy'
            ]
    image.head_sizes[:] = head_size(image.head_bboxes_xyxy)
    return check_finite(image, path)


def _structs(value: Any) -> list:
    """The members of a squeezed structure array, without empty ones."""
    return [
        member
        for member in np.atleast_1d(value)
        if hasattr(member, '_fieldnames')
    ]


def _number(struct: Any, name: str, where: str) -> float:
    """A number of a structure, NaN if it is missing or empty."""
    value = getattr(struct, name, None)
    if value is None or np.size(value) == 0:
        return np.nan
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f'{where} has {name} = {value!r}') from None
