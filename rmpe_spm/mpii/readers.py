"""Readers of MPII's annotations in the forms that they come in."""

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat

from ..files import read_json
from .annotations import MpiiImage, head_size

# pose-hg-train moves centres down and enlarges scales in its files
_HDF5_SHIFT = 15.0
_HDF5_ENLARGEMENT = 1.25


def read_mpii(
    path: str | PathLike,
    headbox_file: str | PathLike | None = None,
) -> list[MpiiImage]:
    """Read MPII annotations, by the file's ending.

    - ``.mat``: the release, ``mpii_human_pose_v1_u12_1.mat``
    - ``.json``: one record a person, as mmpose's ``MpiiDataset`` reads it
    - ``.h5``, ``.hdf5``: one row a person, as pose-hg-train has it

    ``headbox_file`` has head boxes for a ``.json`` file: mmpose's
    ``mpii_gt_val.mat``.

    Raises:
        FileNotFoundError: If a file doesn't exist.
        ValueError: Names the first entry that isn't of the file's form.
    """
    ending = Path(path).suffix.lower()
    readers = {
        '.mat': _read_release,
        '.json': _read_records,
        '.h5': _read_hdf5,
        '.hdf5': _read_hdf5,
    }
    if ending not in readers:
        raise ValueError(
            f'{path}: MPII annotations end in {", ".join(readers)}'
        )
    for file in (path, headbox_file):
        if file is not None and not Path(file).is_file():
            raise FileNotFoundError(f'there is no file {file}')
    if headbox_file is None:
        return readers[ending](path)
    if ending != '.json':
        raise ValueError(
            f'headbox_file={str(headbox_file)!r} is for .json annotations: '
            f'leave it out for {path}, which has its own'
        )
    return _read_records(path, headbox_file)


def _read_release(path: str | PathLike) -> list[MpiiImage]:
    """Read ``mpii_human_pose_v1_u12_1.mat``, any of whose fields may lack.

    Every point counts as annotated, whatever its ``is_visible``.
    """
    release = read_matlab(path).get('RELEASE')
    for name in ('annolist', 'img_train'):
        if not hasattr(release, name):
            raise ValueError(
                f'{path} has no RELEASE.{name}: it is not the release of '
                'MPII Human Pose, mpii_human_pose_v1_u12_1.mat'
            )
    annolist = np.atleast_1d(release.annolist)
    train = np.broadcast_to(release.img_train, len(annolist)).tolist()
    return [
        _read_image(path, index, annotation, bool(train[index]))
        for index, annotation in enumerate(annolist)
    ]


def _read_image(
    path: str | PathLike, index: int, annotation: Any, is_train: bool
) -> MpiiImage:
    """One entry of ``annolist``."""
    name = getattr(getattr(annotation, 'image', None), 'name', None)
    if not isinstance(name, str):
        raise ValueError(f'{path}: image {index + 1} of annolist has no name')
    rects = structs(getattr(annotation, 'annorect', None))
    image = MpiiImage.unknown(name, len(rects), is_train)
    for person, rect in enumerate(rects):
        where = f'{path}: image {name}, person {person + 1}'
        image.head_bboxes_xyxy[person] = [
            read_number(rect, side, where) for side in ('x1', 'y1', 'x2', 'y2')
        ]
        image.scales[person] = read_number(rect, 'scale', where)
        place = getattr(rect, 'objpos', None)
        image.centers[person] = [read_number(place, xy, where) for xy in 'xy']
        points = getattr(getattr(rect, 'annopoints', None), 'point', None)
        for point in structs(points):
            joint = read_number(point, 'id', where)
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
                read_number(point, xy, where) for xy in 'xy'
            ]
    image.head_sizes[:] = head_size(image.head_bboxes_xyxy)
    return image.check(path)


def read_matlab(path: str | PathLike, squeeze: bool = True) -> dict:
    """Variables of a MATLAB file; structures are objects."""
    if not Path(path).is_file():
        raise FileNotFoundError(f'there is no file {path}')
    try:
        return loadmat(str(path), struct_as_record=False, squeeze_me=squeeze)
    except Exception as error:  # scipy raises errors of many kinds
        raise ValueError(
            f'{path} is not a MATLAB file that can be read: {error!r}'
        ) from error


def structs(value: Any) -> list:
    """The members of a squeezed structure array, none of what isn't one."""
    members = np.atleast_1d(value)
    return [member for member in members if hasattr(member, '_fieldnames')]


def read_number(struct: Any, name: str, where: str) -> float:
    """A number of a structure, NaN if it is missing or empty."""
    value = getattr(struct, name, None)
    if value is None or np.size(value) == 0:
        return np.nan
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f'{where} has {name} = {value!r}') from None


def _read_records(
    path: str | PathLike,
    headbox_file: str | PathLike | None = None,
) -> list[MpiiImage]:
    """Read a list of records, one a person, as mmpose's ``MpiiDataset``.

    ``center`` and ``scale`` are the release's ``objpos`` and ``scale``.
    """
    records = read_json(path)
    if not isinstance(records, list) or not records:
        raise ValueError(
            f'{path} is not a list of records, one a person, or is empty'
        )
    shapes = dict(
        joints=(16, 2), joints_vis=(16,), center=(2,), scale=(), head_box=(4,)
    )
    names, rows = [], []
    for index, record in enumerate(records):
        where = f'{path}: record {index}'
        name = record.get('image') if isinstance(record, dict) else None
        if not isinstance(name, str):
            raise ValueError(f'{where} has no image that is a file name')
        box = record.get('head_box') or [np.nan] * 4
        record = dict(record, head_box=box)
        names.append(name)
        rows.append(_numbers(f'{where} (image {name})', record, shapes))
    columns = {name: np.stack([row[name] for row in rows]) for name in shapes}
    boxes = columns['head_box']
    if headbox_file is not None:
        boxes = _read_headboxes(headbox_file, len(records))
    return _by_image(
        path,
        names,
        keypoints=columns['joints'],
        annotated=columns['joints_vis'] > 0,
        centers=columns['center'],
        scales=columns['scale'],
        head_bboxes_xyxy=boxes,
        head_sizes=head_size(boxes),
    )


def _numbers(
    where: str, values: Mapping, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    """Values of these names and shapes as float64."""
    arrays = {}
    for name, shape in shapes.items():
        if name not in values:
            raise ValueError(f'{where} has no "{name}"')
        try:
            arrays[name] = np.array(values[name], np.float64)
        except (TypeError, ValueError):
            raise ValueError(
                f'{where} has {name} = {values[name]!r}'
            ) from None
        if arrays[name].shape != shape:
            raise ValueError(
                f'{where}: "{name}" has the shape {arrays[name].shape}, but '
                f'must have {shape}'
            )
    return arrays


def _read_headboxes(path: str | PathLike, people: int) -> np.ndarray:
    """Boxes (P, 4) of mmpose's ``headboxes_src``, their corners (2, 2, P)."""
    boxes = read_matlab(path, squeeze=False).get('headboxes_src')
    if np.shape(boxes) != (2, 2, people):
        raise ValueError(
            f'{path}: "headboxes_src" must have the shape (2, 2, {people}), '
            'for as many people as the annotations have, but has '
            f'{np.shape(boxes) or "nothing"}'
        )
    return boxes.transpose(2, 0, 1).reshape(people, 4).astype(np.float64)


def _read_hdf5(path: str | PathLike) -> list[MpiiImage]:
    """Read ``train.h5`` or ``valid.h5`` as pose-hg-train has them.

    A joint is annotated where ``part`` isn't (0, 0); ``visible`` is 0 for
    occluded joints too. What they change in centres and scales is undone.
    """
    import h5py  # only who has such a file needs it

    try:
        with h5py.File(path) as file:
            values = {name: file[name][()] for name in file}
    except OSError as error:
        raise ValueError(f'{path} is not an HDF5 file: {error}') from error
    if 'imgname' not in values:
        raise ValueError(f'{path} has no "imgname"')
    names = [
        name.decode() if isinstance(name, bytes) else name
        for name in values['imgname'].tolist()
    ]
    shapes = dict(part=(16, 2), center=(2,), scale=(), normalize=(), person=())
    rows = _numbers(
        str(path),
        values,
        {name: (len(names), *shape) for name, shape in shapes.items()},
    )
    scales = rows['scale'] / _HDF5_ENLARGEMENT
    rows['center'][:, 1] -= _HDF5_SHIFT * scales
    return _by_image(
        path,
        names,
        keypoints=rows['part'],
        annotated=(rows['part'] != 0).any(-1),
        centers=rows['center'],
        scales=scales,
        head_sizes=rows['normalize'],
        person_ids=rows['person'].astype(np.int64) + 1,
    )


def _by_image(
    path: str | PathLike, names: Sequence[str], **rows: np.ndarray
) -> list[MpiiImage]:
    """Gather the rows of each image, wherever they are in the file."""
    people: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        people.setdefault(name, []).append(index)
    images = []
    for name, indices in people.items():
        image = MpiiImage.unknown(name, len(indices))
        for field, values in rows.items():
            setattr(image, field, values[indices])
        image.keypoints[~image.annotated] = 0
        ids, counts = np.unique(image.person_ids, return_counts=True)
        if counts.max() > 1:
            raise ValueError(
                f'{path}: image {name} has the person '
                f'{ids[counts.argmax()]} twice'
            )
        images.append(image.check(path))
    return images
