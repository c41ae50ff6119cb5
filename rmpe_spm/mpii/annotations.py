"""MPII's joints, and its annotations in one shape, whatever their file."""

from dataclasses import dataclass
from os import PathLike
from typing import Union

import numpy as np

MPII16 = (
    'right_ankle',
    'right_knee',
    'right_hip',
    'left_hip',
    'left_knee',
    'left_ankle',
    'pelvis',
    'thorax',
    'upper_neck',
    'head_top',
    'right_wrist',
    'right_elbow',
    'right_shoulder',
    'left_shoulder',
    'left_elbow',
    'left_wrist',
)

# those that the multi-person evaluation counts
MPII14 = tuple(name for name in MPII16 if name not in ('pelvis', 'thorax'))

# place of each of the 14 in the release's numbering
MPII14_IDS = np.array([MPII16.index(name) for name in MPII14])
JOINT_ORDERS = {14: MPII14, 16: MPII16}

# head boxes are wider than heads: the size is this share of the diagonal
HEAD_SIZE_FACTOR = 0.6


def evaluated_joints(values: np.ndarray) -> np.ndarray:
    """Leave the 14 joints of the evaluation.

    Args:
        values (np.ndarray): Shape (N, K) or (N, K, ...), K = 16 joints in
            the release's order or 14 in the same without pelvis and thorax.

    Returns:
        np.ndarray: Shape (N, 14) or (N, 14, ...).

    Raises:
        ValueError: If K is neither.
    """
    if values.shape[1] == len(MPII16):
        return values[:, MPII14_IDS]
    if values.shape[1] == len(MPII14):
        return values
    raise ValueError(
        f'poses of MPII have 16 joints, or 14 without pelvis and thorax, but '
        f'these have {values.shape[1]}'
    )


def head_size(head_bboxes_xyxy: np.ndarray) -> np.ndarray:
    """0.6 times the diagonal of head boxes, as MPII's toolkit has it.

    Args:
        head_bboxes_xyxy (np.ndarray): Shape (N, 4), in pixels.

    Returns:
        np.ndarray: Shape (N,), in pixels.
    """
    sides = head_bboxes_xyxy[:, 2:] - head_bboxes_xyxy[:, :2]
    return HEAD_SIZE_FACTOR * np.hypot(sides[:, 0], sides[:, 1])


# in the place of the links to pelvis and thorax
_TORSO = (
    ('right_shoulder', 'right_hip'),
    ('left_shoulder', 'left_hip'),
    ('right_hip', 'left_hip'),
)
_TORSO_COLOR = [51, 153, 255]


def mpii14_metainfo(parsed: dict) -> dict:
    """Take pelvis and thorax out of the description of 16 joints.

    Args:
        parsed (dict): mmpose's parsed metainfo of MPII.

    Returns:
        dict: Metainfo for mmpose to parse.
    """
    names = parsed['keypoint_id2name']
    links = [
        ([names[joint] for joint in link], color.tolist())
        for link, color in zip(
            parsed['skeleton_links'],
            parsed['skeleton_link_colors'],
            strict=True,
        )
    ]
    links = [link for link in links if set(link[0]) <= set(MPII14)]
    links += [(link, _TORSO_COLOR) for link in _TORSO]
    keypoints = {}
    for new, old in enumerate(MPII14_IDS.tolist()):
        partner = names[parsed['flip_indices'][old]]
        keypoints[new] = dict(
            name=MPII14[new],
            id=new,
            color=parsed['keypoint_colors'][old].tolist(),
            type='upper' if old in parsed['upper_body_ids'] else 'lower',
            swap='' if partner == MPII14[new] else partner,
        )
    return dict(
        dataset_name=parsed['dataset_name'],
        keypoint_info=keypoints,
        skeleton_info={
            index: dict(link=tuple(link), id=index, color=color)
            for index, (link, color) in enumerate(links)
        },
        joint_weights=parsed['dataset_keypoint_weights'][MPII14_IDS].tolist(),
        sigmas=parsed['sigmas'][MPII14_IDS].tolist(),
    )


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
        )


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
    where = f'{path}: image {image.name}, person'
    bad = image.annotated & ~np.isfinite(image.keypoints).all(-1)
    if bad.any():
        person, joint = np.argwhere(bad)[0]
        raise ValueError(
            f'{where} {image.person_ids[person]}: joint {joint} is at '
            f'{image.keypoints[person, joint].tolist()}'
        )
    sizes = image.head_sizes
    bad = image.annotated.any(1) & ((sizes <= 0) | np.isinf(sizes))
    if bad.any():
        person = int(bad.argmax())
        raise ValueError(
            f'{where} {image.person_ids[person]} has a head of size '
            f'{sizes[person]}, but it must be positive'
        )
    return image
