"""Readers of MPII's annotations in the forms that they come in."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat

from ..errors import ConfigError
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
    if headbox_file is not None and ending != '.json':
        raise ValueError(
            f'headbox_file={str(headbox_file)!r} is for .json annotations: '
            f'leave it out for {path}, which has its own'
        )
    files = (path,) if headbox_file is None else (path, headbox_file)
    try:
        return readers[ending](*files)
    except ConfigError:
        raise
    except (OSError, LookupError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{path} is not a {ending} file of MPII's annotations: {error!r}"
        ) from error


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
        image.head_bboxes_xyxy[person] = [
            read_number(rect, side) for side in ('x1', 'y1', 'x2', 'y2')
        ]
        image.scales[person] = read_number(rect, 'scale')
        place = getattr(rect, 'objpos', None)
        image.centers[person] = [read_number(place, xy) for xy in 'xy']
        points = getattr(getattr(rect, 'annopoints', None), 'point', None)
        for point in structs(points):
            joint = int(read_number(point, 'id'))
            image.annotated[person, joint] = True
            image.keypoints[person, joint] = [
                read_number(point, xy) for xy in 'xy'
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


def read_number(struct: Any, name: str) -> float:
    """A number of a structure, NaN if it is missing or empty."""
    value = getattr(struct, name, None)
    return np.nan if value is None or np.size(value) == 0 else float(value)


def _read_records(
    path: str | PathLike,
    headbox_file: str | PathLike | None = None,
) -> list[MpiiImage]:
    """Read a list of records, one a person, as mmpose's ``MpiiDataset``.

    ``center`` and ``scale`` are the release's ``objpos`` and ``scale``.
    """
    records = read_json(path)
    names = [record['image'] for record in records]

    def column(key: str, *shape: int) -> np.ndarray:
        values = [record[key] for record in records]
        return np.array(values, np.float64).reshape(len(records), *shape)

    boxes = [each.get('head_box') or [np.nan] * 4 for each in records]
    boxes = np.array(boxes, np.float64).reshape(len(records), 4)
    if headbox_file is not None:
        boxes = _read_headboxes(headbox_file, len(records))
    rows = dict(
        keypoints=column('joints', 16, 2),
        annotated=column('joints_vis', 16) > 0,
        centers=column('center', 2),
        scales=column('scale'),
    )
    return _by_image(
        path,
        names,
        **rows,
        head_bboxes_xyxy=boxes,
        head_sizes=head_size(boxes),
    )


def _read_headboxes(path: str | PathLike, people: int) -> np.ndarray:
    """Boxes (P, 4) of mmpose's ``headboxes_src``, their corners (2, 2, P)."""
    boxes = read_matlab(path, squeeze=False)['headboxes_src']
    if boxes.shape[-1] != people:
        raise ConfigError(
            f'{path} has head boxes of {boxes.shape[-1]} people, but the '
            f'annotations have {people}'
        )
    return boxes.transpose(2, 0, 1).reshape(people, 4).astype(np.float64)


def _read_hdf5(path: str | PathLike) -> list[MpiiImage]:
    """Read ``train.h5`` or ``valid.h5`` as pose-hg-train has them.

    A joint is annotated where ``part`` isn't (0, 0); ``visible`` is 0 for
    occluded joints too. What they change in centres and scales is undone.
    """
    import h5py  # only who has such a file needs it

    with h5py.File(path) as file:
        names = [bytes(name).decode() for name in file['imgname'][()]]
        scales = file['scale'][()] / _HDF5_ENLARGEMENT
        centers = file['center'][()].astype(np.float64)
        centers[:, 1] -= _HDF5_SHIFT * scales
        joints = file['part'][()].astype(np.float64).reshape(-1, 16, 2)
        rows = dict(
            keypoints=joints,
            annotated=(joints != 0).any(-1),
            centers=centers,
            scales=scales,
            head_sizes=file['normalize'][()],
            person_ids=file['person'][()].astype(np.int64) + 1,
        )
    return _by_image(path, names, **rows)


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
        images.append(image.check(path))
    return images
