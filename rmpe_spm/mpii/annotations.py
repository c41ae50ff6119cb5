"""MPII's joints, and its annotations in one shape, whatever their file."""

from dataclasses import dataclass
from os import PathLike

import numpy as np

from ..errors import ConfigError

MPII16 = (
    'right_ankle', 'right_knee', 'right_hip', 'left_hip', 'left_knee',
    'left_ankle', 'pelvis', 'thorax', 'upper_neck', 'head_top', 'right_wrist',
    'right_elbow', 'right_shoulder', 'left_shoulder', 'left_elbow',
    'left_wrist',
)  # fmt: skip

# those that the multi-person evaluation counts
MPII14 = tuple(name for name in MPII16 if name not in ('pelvis', 'thorax'))

# place of each of the 14 in the release's numbering
MPII14_IDS = np.array([MPII16.index(name) for name in MPII14])

# objpos and scale describe a square about the person of this side x scale
PIXEL_STD = 200.0


def evaluated_joints(values: np.ndarray) -> np.ndarray:
    """Leave the 14 evaluated of 16 joints, (N, 16, ...), if there are 16."""
    number = values.shape[1]
    if number not in (14, 16):
        raise ValueError(
            'poses of MPII have 16 joints, or 14 without pelvis and thorax, '
            f'but these have {number}'
        )
    return values if number == 14 else values[:, MPII14_IDS]


def head_size(head_bboxes_xyxy: np.ndarray) -> np.ndarray:
    """0.6 times the diagonal of head boxes (N, 4), as the toolkit has it."""
    sides = head_bboxes_xyxy[:, 2:] - head_bboxes_xyxy[:, :2]
    return 0.6 * np.hypot(sides[:, 0], sides[:, 1])


# in the place of the links to pelvis and thorax
_TORSO = (
    ('right_shoulder', 'right_hip'),
    ('left_shoulder', 'left_hip'),
    ('right_hip', 'left_hip'),
)
_TORSO_COLOR = [51, 153, 255]


def mpii14_metainfo(parsed: dict) -> dict:
    """Metainfo without pelvis and thorax, from mmpose's parsed one."""
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
    return dict(
        dataset_name=parsed['dataset_name'],
        keypoint_info={
            new: dict(
                name=MPII14[new],
                id=new,
                color=parsed['keypoint_colors'][old].tolist(),
                type='upper' if old in parsed['upper_body_ids'] else 'lower',
                swap=names[parsed['flip_indices'][old]],
            )
            for new, old in enumerate(MPII14_IDS.tolist())
        },
        skeleton_info={
            index: dict(link=tuple(link), id=index, color=color)
            for index, (link, color) in enumerate(links)
        },
        joint_weights=parsed['dataset_keypoint_weights'][MPII14_IDS].tolist(),
        sigmas=parsed['sigmas'][MPII14_IDS].tolist(),
    )


@dataclass
class MpiiImage:
    """The people of one image (N people, 16 joints in MPII's order).

    Coordinates are the file's own pixels, never shifted; NaN is unknown.
    ``person_ids`` are places in the image's list, from 1 as in the release.
    """

    name: str  # file name of the image
    is_train: bool  # whether its annotations are public
    person_ids: np.ndarray  # (N,), int
    keypoints: np.ndarray  # (N, 16, 2), 0 where not annotated
    annotated: np.ndarray  # (N, 16), bool; joints may be seen or occluded
    head_bboxes_xyxy: np.ndarray  # (N, 4)
    head_sizes: np.ndarray  # 0.6 x the diagonal of the head box, (N,)
    centers: np.ndarray  # the release's objpos, (N, 2)
    scales: np.ndarray  # the person's height over 200 pixels, (N,)

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

    def check(self, path: str | PathLike) -> 'MpiiImage':
        """Return itself; refuse joints that aren't finite, empty heads."""
        where = f'{path}: image {self.name}, person'
        bad = self.annotated & ~np.isfinite(self.keypoints).all(-1)
        if bad.any():
            person, joint = np.argwhere(bad)[0]
            raise ConfigError(
                f'{where} {self.person_ids[person]}: joint {joint} is at '
                f'{self.keypoints[person, joint].tolist()}'
            )
        sizes = self.head_sizes
        bad = self.annotated.any(1) & ((sizes <= 0) | np.isinf(sizes))
        if bad.any():
            person = int(bad.argmax())
            raise ConfigError(
                f'{where} {self.person_ids[person]} has a head of size '
                f'{sizes[person]}, but it must be positive'
            )
        return self
