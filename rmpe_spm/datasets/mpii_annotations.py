"""MPII's annotations in one shape, whatever file they come from."""

from dataclasses import dataclass, fields
from os import PathLike
from pathlib import Path
from typing import Union

import numpy as np

# objpos and scale describe a square about the person of this side x scale
PIXEL_STD = 200.0


@dataclass
class MpiiImage:
    """The people of one image (N people, 16 joints in MPII's order).

    Coordinates are the file's own pixels, never shifted. What a file
    doesn't know is NaN.

    Attributes:
        name (str): File name of the image.
        is_train (bool): Whether its annotations are public.
        person_ids (np.ndarray): Place of each person in the image's list of
            the file, (N,), int, counted from 1 as in the release.
        keypoints (np.ndarray): Shape (N, 16, 2), 0 where not annotated.
        annotated (np.ndarray): Whether the joint is annotated, seen or
            occluded, (N, 16), bool.
        head_bboxes_xyxy (np.ndarray): Shape (N, 4).
        head_sizes (np.ndarray): 0.6 x the diagonal of the head box, (N,).
        centers (np.ndarray): The release's ``objpos``, (N, 2).
        scales (np.ndarray): The release's ``scale``: the person's height
            over 200 pixels, (N,).
        single (np.ndarray): Whether the release lists the person as
            sufficiently apart from the others, (N,), bool.
    """

    name: str
    is_train: bool
    person_ids: np.ndarray
    keypoints: np.ndarray
    annotated: np.ndarray
    head_bboxes_xyxy: np.ndarray
    head_sizes: np.ndarray
    centers: np.ndarray
    scales: np.ndarray
    single: np.ndarray

    def __len__(self) -> int:
        """Number of people."""
        return len(self.person_ids)

    @classmethod
    def unknown(
        cls, name: str, number: int, is_train: bool = True
    ) -> 'MpiiImage':
        """An image of ``number`` people of whom nothing is known."""
        return cls(
            name=name,
            is_train=is_train,
            person_ids=np.arange(1, number + 1),
            keypoints=np.zeros((number, 16, 2)),
            annotated=np.zeros((number, 16), dtype=bool),
            head_bboxes_xyxy=np.full((number, 4), np.nan),
            head_sizes=np.full(number, np.nan),
            centers=np.full((number, 2), np.nan),
            scales=np.full(number, np.nan),
            single=np.zeros(number, dtype=bool),
        )

    def subset(self, people: np.ndarray) -> 'MpiiImage':
        """The people at these indices, or where a mask is true."""
        arrays = {
            field.name: getattr(self, field.name)[people]
            for field in fields(self)
            if field.name not in ('name', 'is_train')
        }
        return MpiiImage(self.name, self.is_train, **arrays)


def read_mpii(
    path: Union[str, PathLike],
    headbox_file: Union[str, PathLike, None] = None,
) -> list[MpiiImage]:
    """Read MPII annotations, by the file's ending.

    - ``.mat``: the release, ``mpii_human_pose_v1_u12_1.mat``
    - ``.json``: one record a person, as mmpose's ``MpiiDataset`` reads it
    - ``.h5``, ``.hdf5``: one row a person, as pose-hg-train has it
    - ``.txt``: the validation list of RMPE's authors; without head boxes

    Args:
        path (str | PathLike): The file.
        headbox_file (str | PathLike, optional): Head boxes for a ``.json``
            file: mmpose's ``mpii_gt_val.mat``. Defaults to None.

    Returns:
        list[MpiiImage]: The images in the file's order.

    Raises:
        FileNotFoundError: If a file doesn't exist.
        ValueError: If a file isn't of its form; the first bad entry is
            named.
    """
    from . import mpii_release, mpii_tables

    path = Path(path)
    readers = {
        '.mat': mpii_release.read_release,
        '.json': mpii_tables.read_json,
        '.h5': mpii_tables.read_hdf5,
        '.hdf5': mpii_tables.read_hdf5,
        '.txt': mpii_tables.read_rmpe_list,
    }
    if path.suffix.lower() not in readers:
        raise ValueError(
            f'{path}: MPII annotations end in {", ".join(readers)}'
        )
    if headbox_file is not None and path.suffix.lower() != '.json':
        raise ValueError(
            f'headbox_file={str(headbox_file)!r} is for .json annotations: '
            f'leave it out for {path}, which has its own'
        )
    for file in (path, headbox_file):
        if file is not None and not Path(file).is_file():
            raise FileNotFoundError(f'there is no file {file}')
    if headbox_file is not None:
        return mpii_tables.read_json(path, headbox_file)
    return readers[path.suffix.lower()](path)


def check_finite(image: MpiiImage, path: Union[str, PathLike]) -> MpiiImage:
    """Refuse annotated joints that are not finite and empty head boxes.

    Args:
        image (MpiiImage): The image.
        path (str | PathLike): Its file, for the message.

    Returns:
        MpiiImage: The same.

    Raises:
        ValueError: If there is one.
    """
    bad = image.annotated & ~np.isfinite(image.keypoints).all(-1)
    if bad.any():
        person, joint = np.argwhere(bad)[0]
        raise ValueError(
            f'{path}: image {image.name}, person {image.person_ids[person]}: '
            f'joint {joint} is at {image.keypoints[person, joint].tolist()}'
        )
    known = ~np.isnan(image.head_sizes) & image.annotated.any(1)
    bad = known & ~((image.head_sizes > 0) & np.isfinite(image.head_sizes))
    if bad.any():
        person = int(bad.argmax())
        raise ValueError(
            f'{path}: image {image.name}, person {image.person_ids[person]} '
            f'has a head of size {image.head_sizes[person]}, but it must be '
            'positive'
        )
    return image
