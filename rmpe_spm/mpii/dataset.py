"""MPII as a data set of several people an image."""

import os.path as osp
from copy import deepcopy
from typing import Any

import numpy as np
from mmengine.fileio import load
from mmpose.datasets.datasets import BaseCocoStyleDataset
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS

from .annotations import JOINT_ORDERS, MPII14
from .groups import read_groups
from .readers import read_mpii
from .units import MpiiUnit, make_units, unit_annotations

# in the place of the links to pelvis and thorax
_TORSO = (
    ('right_shoulder', 'right_hip'),
    ('left_shoulder', 'left_hip'),
    ('right_hip', 'left_hip'),
)
_TORSO_COLOR = (51, 153, 255)


def mpii14_metainfo(parsed: dict) -> dict:
    """Take pelvis and thorax out of the description of 16 joints.

    Args:
        parsed (dict): mmpose's parsed metainfo of MPII.

    Returns:
        dict: Metainfo for mmpose to parse.
    """
    names = parsed['keypoint_id2name']
    links = [
        ((names[a], names[b]), color.tolist())
        for (a, b), color in zip(
            parsed['skeleton_links'],
            parsed['skeleton_link_colors'],
            strict=True,
        )
        if names[a] in MPII14 and names[b] in MPII14
    ]
    links += [(link, list(_TORSO_COLOR)) for link in _TORSO]
    keypoint_info, weights, sigmas = {}, [], []
    for new, name in enumerate(MPII14):
        old = parsed['keypoint_name2id'][name]
        partner = names[parsed['flip_indices'][old]]
        keypoint_info[new] = dict(
            name=name,
            id=new,
            color=parsed['keypoint_colors'][old].tolist(),
            type='upper' if old in parsed['upper_body_ids'] else 'lower',
            swap='' if partner == name else partner,
        )
        weights.append(float(parsed['dataset_keypoint_weights'][old]))
        sigmas.append(float(parsed['sigmas'][old]))
    return dict(
        dataset_name=parsed['dataset_name'],
        keypoint_info=keypoint_info,
        skeleton_info={
            index: dict(link=link, id=index, color=color)
            for index, (link, color) in enumerate(links)
        },
        joint_weights=weights,
        sigmas=sigmas,
    )


@DATASETS.register_module()
class MpiiMultiPersonDataset(BaseCocoStyleDataset):
    """The `MPII`_ Human Pose data set, for multi-person models.

    Annotations come from the release's ``.mat``, from the ``.json`` that
    mmpose's ``MpiiDataset`` reads, from the ``.h5`` of pose-hg-train, or
    from the ``.txt`` list of RMPE's authors
    (:func:`~rmpe_spm.mpii.readers.read_mpii`). Their pixel
    coordinates are taken as they are.

    Two protocols say what is evaluated at a time, the unit:

    - ``'group'``, of the published tables: a group of people who overlap.
      Its place and mean scale are known to the method:
      ``GroupAffine`` crops it.
    - ``'image'``: all people of an image; nothing but the image is known.

    In bottom-up mode a sample is a unit, in top-down mode a person or, with
    ``bbox_file``, a detection. The ``raw_ann_info`` of the samples has all
    that :class:`~rmpe_spm.MpiiMultiPersonAP` needs (see
    :func:`~rmpe_spm.mpii.units.unit_annotations`): with
    ``bbox_file`` the people of the detection's image, and in the first
    sample also those of images without any detection, or with none that
    reaches ``bbox_score_thr`` of ``filter_cfg``.

    The joints, in the 16-joint order; that of 14 is the same without 6, 7::

        0 right ankle   4 left knee    8 upper neck       12 right shoulder
        1 right knee    5 left ankle   9 head top         13 left shoulder
        2 right hip     6 pelvis       10 right wrist     14 left elbow
        3 left hip      7 thorax       11 right elbow     15 left wrist

    .. _MPII: http://human-pose.mpi-inf.mpg.de/

    Added Keys of a sample (beside those of ``BaseCocoStyleDataset``):

        - head_size (np.ndarray, float32, (N, 1)): in pixels; NaN if unknown
        - group_center (np.ndarray, float32, (1, 2)): mean of the people's
          centres; this and the next two not with ``bbox_file``
        - group_scale (float): mean height of the people over 200 pixels
        - group_bbox (np.ndarray, float32, (1, 4)): xyxy, what holds all

    Args:
        ann_file (str): The annotations. Defaults to ''.
        protocol (str): ``'group'`` or ``'image'``. Train with the second:
            images are not cut into groups. Defaults to 'image'.
        split (str, optional): ``'train'`` for images whose annotations are
            public, ``'test'`` for the others. Defaults to None: both.
        num_keypoints (int): 16, or 14, the evaluated ones. Defaults to 16.
        min_people (int): Units with fewer people are left out. Defaults to
            1.
        group_file (str, optional): Who belongs together, and which images
            to take: a ``.json`` file
            ``{"image.jpg": [[1, 2], [4, 5, 6]]}`` or the list of RMPE's
            authors. Defaults to None: all images; people whose squares of
            200 x scale overlap are a group.
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
        min_people: int = 1,
        group_file: str | None = None,
        headbox_file: str | None = None,
        **kwargs: Any,
    ) -> None:
        if num_keypoints not in JOINT_ORDERS:
            raise ValueError(
                f'num_keypoints={num_keypoints}: MPII has orders of '
                f'{sorted(JOINT_ORDERS)} joints'
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
        self.group_file = group_file
        self.headbox_file = headbox_file
        if num_keypoints == 14 and kwargs.get('metainfo') is None:
            kwargs['metainfo'] = mpii14_metainfo(
                parse_pose_metainfo(deepcopy(self.METAINFO))
            )
        super().__init__(ann_file=ann_file, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read the annotations and make the samples.

        Returns:
            list[dict]: The samples.
        """
        images = read_mpii(self.ann_file, self.headbox_file)
        groups = None
        if self.group_file is not None:
            groups = read_groups(self.group_file, images)
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
                sample.update(_place(unit))
                samples.append(sample)
        return samples

    def _people(self, unit: MpiiUnit) -> list[dict]:
        """The people of a unit as top-down samples."""
        people = []
        path = self._path(unit)
        annotations = unit_annotations(unit, self.protocol, self.num_keypoints)
        for annotation in annotations:
            joints = np.array(annotation['keypoints'], np.float32)
            joints = joints.reshape(1, -1, 3)
            x, y, w, h = annotation['bbox']
            size = annotation['head_size']
            people.append(
                dict(
                    id=annotation['id'],
                    img_id=annotation['image_id'],
                    img_path=path,
                    bbox=np.array([[x, y, x + w, y + h]], np.float32),
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
                    **_place(unit),
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
                unit_annotations(unit, self.protocol, self.num_keypoints)
            )
        if not osp.isfile(self.bbox_file):
            raise FileNotFoundError(f'there is no file {self.bbox_file}')
        detections = load(self.bbox_file)
        if not isinstance(detections, list):
            raise ValueError(
                f'{self.bbox_file} is not a list of detections as COCO has '
                'them'
            )
        # not left to filter_data, which knows nothing of missed people
        threshold = (self.filter_cfg or {}).get('bbox_score_thr')
        samples = []
        for index, detection in enumerate(detections):
            where = f'{self.bbox_file}: detection {index}'
            for name in ('image_id', 'bbox', 'score', 'category_id'):
                if name not in detection:
                    raise ValueError(f'{where} has no "{name}"')
            if detection['category_id'] != 1:
                continue
            image_id = detection['image_id']
            if image_id not in people:
                raise ValueError(
                    f'{where} is of the image {image_id}, but none of the '
                    f'{len(people)} images to evaluate has this id'
                )
            # float32 as in filter_data, which must find nothing more to drop
            score = np.array([detection['score']], np.float32)
            if threshold is not None and score < threshold:
                continue
            x, y, w, h = detection['bbox'][:4]
            joints = np.zeros((1, self.num_keypoints, 2), np.float32)
            samples.append(
                dict(
                    id=len(samples),
                    img_id=image_id,
                    img_path=paths[image_id],
                    bbox=np.array([[x, y, x + w, y + h]], np.float32),
                    bbox_score=score,
                    keypoints=joints,
                    keypoints_visible=np.ones(joints.shape[:2], np.float32),
                    raw_ann_info=people[image_id],
                )
            )
        if not samples:
            least = (
                ''
                if threshold is None
                else f' with a score of at least {threshold}'
            )
            raise ValueError(
                f'{self.bbox_file} has no detection of a person{least}'
            )
        found = {sample['img_id'] for sample in samples}
        missed = [
            person
            for image_id, everybody in people.items()
            if image_id not in found
            for person in everybody
        ]
        # the metric must know of those whom the detector has missed
        samples[0]['raw_ann_info'] = samples[0]['raw_ann_info'] + missed
        return samples

    def _path(self, unit: MpiiUnit) -> str:
        """Path of a unit's image."""
        return osp.join(self.data_prefix['img'], unit.image.name)


def _place(unit: MpiiUnit) -> dict:
    """What the group protocol tells a method about a unit."""
    return dict(
        group_center=unit.group.center.astype(np.float32)[None],
        group_scale=unit.group.scale,
        group_bbox=unit.group.bbox_xyxy.astype(np.float32)[None],
    )
