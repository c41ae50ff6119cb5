"""MPII as a data set of several people an image, and the crop of a group."""

import os.path as osp
from copy import deepcopy
from typing import Any

import numpy as np
from mmpose.datasets.datasets import BaseCocoStyleDataset
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.datasets.transforms import TopdownAffine
from mmpose.registry import DATASETS, TRANSFORMS

from ..coco.results import read_detections
from .annotations import mpii14_metainfo
from .groups import MpiiUnit, make_units, read_groups, unit_annotations
from .readers import read_mpii


@DATASETS.register_module()
class MpiiMultiPersonDataset(BaseCocoStyleDataset):
    """The `MPII`_ Human Pose data set, for multi-person models.

    Annotations come in any form of :func:`~rmpe_spm.mpii.readers.read_mpii`.
    Their pixel coordinates are taken as they are.

    Two protocols say what is evaluated at a time, the unit:

    - ``'group'``, of the published tables: a group of people who overlap.
      Its place is known to the method: ``GroupAffine`` crops it.
    - ``'image'``: all people of an image; nothing but the image is known.

    In bottom-up mode a sample is a unit, in top-down mode a person or, with
    ``bbox_file``, a detection. The ``raw_ann_info`` of the samples has all
    that :class:`~rmpe_spm.MpiiMultiPersonAP` needs (see
    :func:`~rmpe_spm.mpii.groups.unit_annotations`): with ``bbox_file`` the
    people of the detection's image, and in the first sample also those of
    images without any detection, or with none that reaches
    ``bbox_score_thr`` of ``filter_cfg``.

    .. _MPII: http://human-pose.mpi-inf.mpg.de/

    Added Keys of a sample (beside those of ``BaseCocoStyleDataset``):

        - head_size (np.ndarray, float32, (N, 1)): in pixels; NaN if unknown
        - group_bbox (np.ndarray, float32, (1, 4)): xyxy, what holds all; not
          with ``bbox_file``

    Args:
        ann_file (str): The annotations. Defaults to ''.
        protocol (str): ``'group'`` or ``'image'``. Train with the second:
            images are not cut into groups. Defaults to 'image'.
        split (str, optional): ``'train'`` for images whose annotations are
            public, ``'test'`` for the others. Defaults to None: both.
        num_keypoints (int): 16, or the 14 evaluated ones, the same without
            pelvis (6) and thorax (7). Defaults to 16.
        min_people (int): Units with fewer people are left out. Defaults to
            1.
        group_file (str, optional): Who belongs together, and which images
            to take: the official ``groups_v12.mat`` or a ``.json`` file
            ``{"image.jpg": [[1, 2], [4, 5, 6]]}``. Defaults to None: all
            images; people whose squares of 100 x scale overlap are a group,
            which gives no official numbers.
        headbox_file (str, optional): Head boxes for ``.json`` annotations,
            mmpose's ``mpii_gt_val.mat``. Defaults to None.
        **kwargs: Arguments of ``BaseCocoStyleDataset``: ``data_mode``,
            ``data_root``, ``data_prefix``, ``bbox_file`` (COCO results
            JSON), ``filter_cfg``, ``pipeline``, ``test_mode`` and others,
            but no ``sample_interval``, nor ``indices`` with ``bbox_file``:
            a ``group_file`` chooses images.

    Raises:
        ValueError: If an argument is unknown, or a file not of its form, or
            no detection is left.
        FileNotFoundError: If a file doesn't exist.
    """

    METAINFO: dict = dict(from_file='configs/_base_/datasets/mpii.py')

    def __init__(
        self,
        ann_file: str = '',
        protocol: str = 'image',
        split: str | None = None,
        num_keypoints: int = 16,
        *,
        min_people: int = 1,
        group_file: str | None = None,
        headbox_file: str | None = None,
        **kwargs: Any,
    ) -> None:
        if num_keypoints not in (14, 16):
            raise ValueError(
                f'num_keypoints={num_keypoints}: MPII has 16 joints, 14 of '
                'them evaluated'
            )
        if kwargs.get('sample_interval', 1) != 1:
            raise ValueError(
                f'sample_interval={kwargs["sample_interval"]}: '
                'MpiiMultiPersonDataset leaves out no images; name those to '
                'take in a group_file'
            )
        if kwargs.get('bbox_file') and kwargs.get('indices') is not None:
            raise ValueError(
                f'indices={kwargs["indices"]} would choose among the '
                'detections of bbox_file, and lose people whom these miss: '
                'name the images to take in a group_file'
            )
        self.protocol = protocol
        self.split = split
        self.num_keypoints = num_keypoints
        self.min_people = min_people
        self.group_file, self.headbox_file = group_file, headbox_file
        if num_keypoints == 14 and kwargs.get('metainfo') is None:
            kwargs['metainfo'] = mpii14_metainfo(
                parse_pose_metainfo(deepcopy(self.METAINFO))
            )
        super().__init__(ann_file=ann_file, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read the annotations and make the samples."""
        images = read_mpii(self.ann_file, self.headbox_file)
        groups = self.group_file and read_groups(self.group_file, images)
        units = make_units(
            images, self.protocol, groups, self.split, self.min_people
        )
        if self.bbox_file:
            return self._detections(units)
        samples = []
        for unit in units:
            people = self._people(unit)
            if self.data_mode == 'topdown':
                samples += [
                    person
                    for person in people
                    if person['num_keypoints'] or not unit.image.is_train
                ]
            else:
                (sample,) = self._get_bottomup_data_infos(people, [])
                sample['group_bbox'] = people[0]['group_bbox']
                samples.append(sample)
        return samples

    def _people(self, unit: MpiiUnit) -> list[dict]:
        """The people of a unit as top-down samples."""
        people = []
        for annotation in unit_annotations(unit, self.num_keypoints):
            joints = np.array(annotation['keypoints'], np.float32)
            joints = joints.reshape(1, -1, 3)
            size = annotation['head_size']
            people.append(
                dict(
                    id=annotation['id'],
                    img_id=annotation['image_id'],
                    img_path=self._path(unit),
                    bbox=_to_xyxy(annotation['bbox']),
                    bbox_score=np.ones(1, np.float32),
                    keypoints=joints[..., :2],
                    keypoints_visible=np.minimum(joints[..., 2], 1),
                    num_keypoints=annotation['num_keypoints'],
                    area=np.array(annotation['area'], np.float32),
                    iscrowd=0,
                    segmentation=None,
                    category_id=np.array(1),
                    head_size=np.array(
                        [[np.nan if size is None else size]], np.float32
                    ),
                    raw_ann_info=annotation,
                    group_bbox=unit.bbox_xyxy.astype(np.float32)[None],
                )
            )
        return people

    def _detections(self, units: list[MpiiUnit]) -> list[dict]:
        """Samples of detected boxes, in images of the units."""
        people: dict[int, list[dict]] = {}
        paths = {}
        for unit in units:
            paths[unit.img_id] = self._path(unit)
            people.setdefault(unit.img_id, []).extend(
                unit_annotations(unit, self.num_keypoints)
            )
        # not left to filter_data, which knows nothing of missed people
        threshold = (self.filter_cfg or {}).get('bbox_score_thr', -np.inf)
        shape = 1, self.num_keypoints
        samples = []
        for index, detection in enumerate(read_detections(self.bbox_file)):
            image_id = detection['image_id']
            if image_id not in people:
                raise ValueError(
                    f'{self.bbox_file}: detection {index} of a person is of '
                    f'the image {image_id}, but none of the {len(people)} '
                    'images to evaluate has this id'
                )
            # float32 as in filter_data, which must find nothing more to drop
            score = np.array([detection['score']], np.float32)
            if score < threshold:
                continue
            samples.append(
                dict(
                    id=len(samples),
                    img_id=image_id,
                    img_path=paths[image_id],
                    bbox=_to_xyxy(detection['bbox']),
                    bbox_score=score,
                    keypoints=np.zeros((*shape, 2), np.float32),
                    keypoints_visible=np.ones(shape, np.float32),
                    raw_ann_info=people[image_id],
                )
            )
        if not samples:
            raise ValueError(
                f'{self.bbox_file} has no detection of a person with a score '
                f'of at least {threshold}'
            )
        detected = {sample['img_id'] for sample in samples}
        missed = [
            person
            for image_id, everybody in people.items()
            if image_id not in detected
            for person in everybody
        ]
        # the metric must know of those whom the detector has missed
        samples[0]['raw_ann_info'] = samples[0]['raw_ann_info'] + missed
        return samples

    def _path(self, unit: MpiiUnit) -> str:
        """Path of a unit's image."""
        return osp.join(self.data_prefix['img'], unit.image.name)


def _to_xyxy(bbox_xywh: list[float]) -> np.ndarray:
    """A box of a sample, (1, 4)."""
    x, y, w, h = bbox_xywh[:4]
    return np.array([[x, y, x + w, y + h]], np.float32)


@TRANSFORMS.register_module()
class GroupAffine(TopdownAffine):
    """Crop a group of people, for MPII's group protocol.

    Takes the place of ``BottomupResize``: the group's box, padded and
    extended to the aspect ratio of the input, is warped to it as
    :class:`TopdownAffine` does for one person. Predictions of bottom-up
    models come back to the image as usual. A picture that has no group, as
    inferencers give them, is shown as a whole.

    Required Keys:

        - img
        - group_bbox, keypoints (optional)

    Modified Keys:

        - img, img_shape

    Added Keys:

        - input_size, input_center, input_scale, transformed_keypoints

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
