"""CMU Panoptic's own files as a data set."""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS

from ..cameras import Camera, intrinsic_matrix, project, to_camera_space
from ..errors import ConfigError
from ..files import read_json

METAINFO = dict(from_file='configs/_base_/datasets/panoptic_body3d.py')
POSE_FOLDER = 'hdPose3d_stage1_coco19'

_SKELETON_KEYS = (
    'dataset_name',
    'flip_pairs',
    'flip_indices',
    'dataset_keypoint_weights',
    'skeleton_links',
)

# CMU's unit is a centimetre
_MILLIMETRES = 10.0


@DATASETS.register_module()
class PanopticMultiPersonDataset(BaseDataset):
    """All people of each picture of `CMU Panoptic`_, in its camera's space.

    Reads the data set's own files. Each sequence is a folder::

        160906_band1/
            calibration_160906_band1.json
            hdPose3d_stage1_coco19/body3DScene_00000168.json
            hdImgs/00_16/00_16_00000168.jpg

    A sample is a picture that one camera has of one frame. It has, of each of
    its N people,

    - ``keypoints`` (N, K, 2), in pixels, projected with the lens's
      distortion, and ``keypoints_visible`` (N, K): 1 where the joint is
      known, in front of the camera and in the frame;
    - ``keypoints_cam`` (N, K, 3), in millimetres of the camera's space: x
      right, y down, z away from it; NaN where nothing is known;
    - ``bbox`` (N, 4, in xyxy format) around the joints that are seen, a tenth
      wider at each side and cut by the frame, and its ``area`` (N,);

    and ``camera``, a dict of ``K`` (3, 3), in pixels, and ``distCoef``, which
    belongs into ``meta_keys`` of ``PackPoseInputs``. ``raw_ann_info`` has the
    same in COCO's form, for ``CocoMetric`` without an ``ann_file``. People of
    whom no joint is seen, behind the camera say, are left out.

    .. _CMU Panoptic: http://domedb.perception.cs.cmu.edu/

    Args:
        data_root (str): The folder of the sequences.
        sequences (Sequence[str], optional): Those to read. Defaults to
            ``None``: all folders with a calibration, by name.
        cameras (Sequence[str], optional): Names of cameras, say ``'00_16'``.
            Defaults to ``None``: all HD cameras of the calibration.
        frame_interval (int): Take each n-th frame. Defaults to 1.
        min_confidence (float): A joint below is not known; CMU marks missing
            ones with -1. Defaults to 0.1.
        metainfo (dict, optional): The joints, chosen among CMU's 19 by their
            names; for example COCO's by ``dict(from_file='configs/_base_/
            datasets/coco.py')``. Defaults to ``None``: all 19.
        data_mode (str): ``'bottomup'``, the only one: by it mmpose knows
            that a sample has all people. Defaults to ``'bottomup'``.
        **kwargs (Any): Arguments of mmengine's ``BaseDataset``.

    Raises:
        ConfigError: If a folder, a calibration, a camera or a joint is
            missing; the message names it.

    Example::

        dataset = dict(
            type='PanopticMultiPersonDataset',
            data_root='data/panoptic/',
            sequences=['160906_band1'],
            cameras=['00_16', '00_30'])
    """

    METAINFO = METAINFO

    def __init__(
        self,
        data_root: str,
        sequences: Sequence[str] | None = None,
        cameras: Sequence[str] | None = None,
        frame_interval: int = 1,
        min_confidence: float = 0.1,
        data_mode: str = 'bottomup',
        **kwargs: Any,
    ) -> None:
        if data_mode != 'bottomup':
            raise ConfigError(
                "PanopticMultiPersonDataset has data_mode='bottomup' alone, "
                f'got {data_mode!r}'
            )
        self.sequences = sequences
        self.cameras = cameras
        self.frame_interval = frame_interval
        self.min_confidence = min_confidence
        super().__init__(data_root=data_root, **kwargs)

    @classmethod
    def _load_metainfo(cls, metainfo: dict | None = None) -> dict:
        """The joints and all that is known of them."""
        return parse_pose_metainfo(dict(metainfo or cls.METAINFO))

    def get_data_info(self, idx: int) -> dict:
        """A sample with what mmpose's transforms need of the joints."""
        # each read of `metainfo` would copy all of it
        skeleton = {
            key: deepcopy(self._metainfo[key]) for key in _SKELETON_KEYS
        }
        return super().get_data_info(idx) | skeleton

    def load_data_list(self) -> list[dict]:
        """Read the samples, sequence by sequence, frame by frame."""
        joints = self._joints()
        self._metainfo['CLASSES'] = [dict(id=1, name='person')]
        samples: list[dict] = []
        for folder in self._folders():
            cameras = self._cameras(folder)
            frames = sorted((folder / POSE_FOLDER).glob('body3DScene_*.json'))
            if not frames:
                raise ConfigError(
                    f'{folder / POSE_FOLDER} has no poses '
                    '(body3DScene_*.json): unpack the sequence, or leave it '
                    'out of `sequences`'
                )
            for path in frames[:: self.frame_interval]:
                people = read_people(path)[:, joints]
                number = path.stem.rpartition('_')[2]
                for name, camera in cameras.items():
                    sample = self._sample(people, camera)
                    if not (len(sample['keypoints']) or self.test_mode):
                        continue
                    image = f'hdImgs/{name}/{name}_{number}.jpg'
                    sample['img_path'] = str(folder / image)
                    sample['img_id'] = len(samples)
                    samples.append(sample)
        number = 0
        for sample in samples:
            sample['raw_ann_info'] = _coco_people(sample, number)
            number += len(sample['raw_ann_info'])
        return samples

    def _joints(self) -> list[int]:
        """Where the joints of ``metainfo`` are among CMU's 19."""
        known = parse_pose_metainfo(dict(METAINFO))['keypoint_name2id']
        wanted = self.metainfo['keypoint_id2name']
        names = [wanted[i] for i in range(len(wanted))]
        missing = [name for name in names if name not in known]
        if missing:
            raise ConfigError(
                f'CMU Panoptic has no joint {missing[0]!r}, which `metainfo` '
                f'asks for; it has {", ".join(known)}'
            )
        return [known[name] for name in names]

    def _folders(self) -> list[Path]:
        root = Path(self.data_root)
        names = self.sequences
        if names is None:
            names = sorted(
                path.parent.name for path in root.glob('*/calibration_*.json')
            )
        if not names:
            raise ConfigError(
                f'{root} has no folder with a calibration_*.json: data_root '
                'is the folder of the sequences'
            )
        return [root / name for name in names]

    def _cameras(self, folder: Path) -> dict[str, Camera]:
        path = folder / f'calibration_{folder.name}.json'
        found = {own['name']: own for own in read_json(path)['cameras']}
        names = self.cameras
        if names is None:
            names = [n for n, own in found.items() if own['type'] == 'hd']
        for name in names:
            if name not in found:
                raise ConfigError(
                    f'{path} has no camera {name!r}; it has '
                    + ', '.join(sorted(found))
                )
            intrinsic_matrix(found[name])
        return {name: found[name] for name in names}

    def _sample(self, people: np.ndarray, camera: Camera) -> dict:
        """The people (N, K, 4) as a camera sees them."""
        points = to_camera_space(people[..., :3], camera) * _MILLIMETRES
        points[people[..., 3] < self.min_confidence] = np.nan
        pixels = project(points, camera)
        # NaN is less than nothing
        frame = np.array(camera['resolution']) - 1
        seen = (pixels >= 0).all(-1) & (pixels <= frame).all(-1)
        kept = seen.any(axis=1)
        points, pixels, seen = points[kept], pixels[kept], seen[kept]
        inside = np.where(seen[..., None], pixels, np.nan)
        low, high = np.zeros((2, len(inside), 2))
        if len(inside):
            low, high = np.nanmin(inside, 1), np.nanmax(inside, 1)
        margin = 0.1 * (high - low) + 0.5
        low = np.maximum(low - margin, 0)
        high = np.minimum(high + margin, frame)
        return dict(
            keypoints=np.nan_to_num(pixels).astype(np.float32),
            keypoints_visible=seen.astype(np.float32),
            keypoints_cam=points.astype(np.float32),
            bbox=np.concatenate((low, high), axis=1).astype(np.float32),
            area=np.prod(high - low, axis=1).astype(np.float32),
            camera=dict(
                K=np.asarray(camera['K'], dtype=np.float64),
                distCoef=np.asarray(
                    camera.get('distCoef', ()), dtype=np.float64
                ),
            ),
            invalid_segs=[],
            id=list(range(len(inside))),
        )


def _coco_people(sample: dict, first: int) -> list[dict]:
    """The people of a sample in COCO's form, their ids counted from first."""
    people = []
    for keypoints, flags, bbox, area in zip(
        sample['keypoints'],
        sample['keypoints_visible'],
        sample['bbox'].tolist(),
        sample['area'].tolist(),
        strict=True,
    ):
        x1, y1, x2, y2 = bbox
        triples = np.c_[keypoints, 2 * flags] * flags[:, None]
        people.append(
            dict(
                id=first + len(people),
                image_id=sample['img_id'],
                category_id=1,
                iscrowd=0,
                bbox=[x1, y1, x2 - x1, y2 - y1],
                area=area,
                keypoints=triples.ravel().tolist(),
                num_keypoints=int(flags.sum()),
            )
        )
    return people


def read_people(path: Path) -> np.ndarray:
    """Read one frame: people (N, 19, 4), x, y, z in CMU's world (cm) and c."""
    content = read_json(path)
    try:
        people = [body['joints19'] for body in content['bodies']]
        return np.array(people, dtype=np.float64).reshape(-1, 19, 4)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f'{path} has no bodies of joints19, 19 times x, y, z and c '
            f'({error!r}): take the folder {POSE_FOLDER}'
        ) from error
