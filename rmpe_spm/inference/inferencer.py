"""Poses of whatever people have, as a stream."""

import os
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any, Union

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DefaultScope
from mmengine.runner import load_checkpoint
from mmengine.structures import InstanceData
from mmpose.apis import init_model
from mmpose.models.heads import DEKRHead
from mmpose.registry import TASK_UTILS
from mmpose.structures import PoseDataSample

from ..cli.arguments import read_config_file
from ..cli.preflight import check_weights
from ..errors import ConfigError
from ..pose_nms.base import BasePoseNMS
from ..pose_nms.inference_nms import best_poses
from ..poses import bboxes_around
from .boxes import (
    BoxSource,
    DetectionsFile,
    GivenBoxes,
    MMDetDetector,
    PosesAsBoxes,
)
from .inputs import Inputs, InputStream, Picture
from .models import MODELS, PACKAGE, find_model
from .results import PoseResult
from .streaming import read_ahead, run_batches

BoxesFrom = Union[str, os.PathLike, tuple, 'PoseInferencer', BoxSource]


class PoseInferencer:
    """Predict the poses in pictures, folders, videos and cameras.

    A shipped model goes by its name; any other of this package's or mmpose's
    by its config and checkpoint, top-down or bottom-up. Results come as a
    stream: a thread reads and prepares pictures while the network runs on
    batches across people and pictures, and what was taken is not kept.
    Where nobody is found there is nobody, ``(0, K, 2)``.

    Args:
        model (str, optional): The name of a shipped model
            (``rmpe-spm models``). Defaults to None.
        config (str | Path | Config, optional): A config, in place of it.
            Defaults to None.
        weights (str | Path, optional): Its checkpoint. Defaults to None:
            the shipped one, or random weights for a config.
        device (str, optional): Such as ``'cuda:0'``. Defaults to None: a GPU
            where there is one.
        boxes_from (optional): Where a top-down model has its boxes from: a
            detections file in COCO's results layout; an mmdet config, or it
            and its checkpoint in a tuple; another ``PoseInferencer``, or the
            name of a shipped model, whose poses become boxes. Defaults to
            None: ``bboxes`` of the call, or the shipped ``'spm'``.
        nms (BasePoseNMS | dict, optional): A pose NMS or its config, such as
            ``dict(type='ParametricPoseNMS', preset='coco')``. Defaults to
            None: the shipped model's, otherwise none.
        batch_size (int): People (top-down) or pictures (bottom-up) that go
            through the network together. Defaults to 8.
        box_thr (float): Detections with a lower score are not used. Poses
            and ``bboxes`` all are. Defaults to 0.3.

    Raises:
        ConfigError: A setting is wrong, or the weights don't fit.

    Example::

        inferencer = PoseInferencer(
            config='pose.py', weights='pose.pth', boxes_from='boxes.json',
            nms=dict(type='ParametricPoseNMS'))
        for result in inferencer(['photo.jpg', 'holiday/', 'dance.mp4']):
            print(result.path, result.frame, result.keypoints.shape)
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        config: str | Path | Config | None = None,
        weights: str | Path | None = None,
        device: str | None = None,
        boxes_from: BoxesFrom | None = None,
        nms: BasePoseNMS | dict | None = None,
        batch_size: int = 8,
        box_thr: float = 0.3,
    ) -> None:
        if (model is None) == (config is None):
            raise ConfigError('give either a model by name, or config=')
        if batch_size < 1:
            raise ConfigError(f'batch_size must be at least 1: {batch_size}')
        if model is not None:
            shipped = find_model(model)
            config = PACKAGE / shipped['config']
            weights = weights or PACKAGE / shipped['weights']
            boxes_from = boxes_from or shipped.get('boxes_from')
            nms = nms or shipped.get('nms')
        self.device = device or (
            'cuda:0' if torch.cuda.is_available() else 'cpu'
        )
        self.model = _load(config, weights, self.device)
        self.metainfo: dict[str, Any] = self.model.dataset_meta
        self.nms: BasePoseNMS | None = _build_nms(nms)
        # mmpose's head decodes one picture at a time
        is_dekr = isinstance(getattr(self.model, 'head', None), DEKRHead)
        self.batch_size = 1 if is_dekr else batch_size
        self.box_thr = box_thr
        dataset = self.model.cfg.test_dataloader.dataset
        mode = dataset.get('data_mode', self.model.cfg.get('data_mode'))
        self.is_topdown = mode != 'bottomup'
        with DefaultScope.overwrite_default_scope('mmpose'):
            self._pipeline = Compose(deepcopy(dataset.pipeline))
        self._boxes = self._box_source(boxes_from)

    def __call__(
        self, inputs: Inputs | InputStream, bboxes: Sequence | None = None
    ) -> Iterator[PoseResult]:
        """Predict poses, one result a picture or frame, as they are taken.

        Args:
            inputs: What :class:`InputStream` takes, or one of them, which
                afterwards tells what it skipped.
            bboxes (sequence, optional): For a top-down model, boxes in xyxy:
                an array (N, 4), or (N, 5) with scores, for one picture, or a
                sequence of such arrays, one a picture. They are used as they
                are, in place of ``boxes_from``. Defaults to None.

        Yields:
            PoseResult: The poses of each picture that can be read.

        Raises:
            ConfigError: A top-down model has no boxes, or a bottom-up one
                has some.
        """
        if not isinstance(inputs, InputStream):
            inputs = InputStream(inputs)
        return (each for _, each in self.with_pictures(inputs, bboxes))

    def with_pictures(
        self, pictures: Iterable[Picture], bboxes: Sequence | None = None
    ) -> Iterator[tuple[Picture, PoseResult]]:
        """Predict poses as a call does, beside the pictures.

        Args:
            pictures (iterable): Pictures, such as an :class:`InputStream`.
            bboxes (sequence, optional): As in a call. Defaults to None.

        Returns:
            iterator: Each picture with its result.

        Raises:
            ConfigError: As in a call.
        """
        ahead = 2 * self.batch_size
        if self.is_topdown:
            source = self._boxes
            if bboxes is not None:
                source = GivenBoxes(bboxes, ahead)
            if source is None:
                raise ConfigError(
                    'a top-down model needs boxes: give boxes_from= (a '
                    'detections file, an mmdet config and checkpoint, or a '
                    'PoseInferencer), or bboxes= in the call'
                )
            items = (
                (picture, map(partial(self._crop, picture), boxes, scores))
                for picture, boxes, scores in source(pictures)
            )
        elif bboxes is not None:
            raise ConfigError(
                'this model finds people by itself: leave bboxes out'
            )
        else:
            items = read_ahead(
                ((each, [self._prepare(each)]) for each in pictures), ahead
            )
        return (
            (picture, self._result(picture, samples))
            for picture, samples in run_batches(
                items, self._forward, _shape_of, self.batch_size
            )
        )

    def _prepare(self, picture: Picture, **box: np.ndarray) -> dict:
        info = dict(img=picture.image, img_path=picture.name, **box)
        return self._pipeline({**info, **self.metainfo})

    def _crop(
        self, picture: Picture, bbox_xyxy: np.ndarray, score: float
    ) -> dict:
        return self._prepare(
            picture, bbox=bbox_xyxy[None], bbox_score=np.float32([score])
        )

    @torch.no_grad()
    def _forward(self, samples: list[dict]) -> list[PoseDataSample]:
        with DefaultScope.overwrite_default_scope('mmpose'):
            return self.model.test_step(pseudo_collate(samples))

    def _result(
        self, picture: Picture, samples: list[PoseDataSample]
    ) -> PoseResult:
        poses = [each.pred_instances for each in samples]
        poses = [each for each in poses if len(each)]
        arrays = (self._no_poses(), *np.zeros((2, 0)), np.zeros((0, 4)))
        if poses:
            arrays = self._arrays(InstanceData.cat(poses))
        keypoints, joint_scores, scores, boxes = map(np.float32, arrays)
        return PoseResult(
            keypoints,
            joint_scores.reshape(keypoints.shape[:2]),
            scores,
            boxes,
            picture.name,
            picture.frame,
            picture.size,
            self.metainfo,
        )

    def _no_poses(self) -> np.ndarray:
        test_cfg = getattr(self.model, 'test_cfg', None) or {}
        chosen = test_cfg.get('output_keypoint_indices')
        number = len(chosen or self.metainfo['keypoint_id2name'])
        return np.zeros((0, number, 2))

    def _arrays(self, poses: InstanceData) -> tuple[np.ndarray, ...]:
        """Joints, their scores, the people's scores, boxes: after the NMS."""
        if self.nms is not None:
            poses = best_poses(poses, self.nms)
        keypoints = poses.keypoints[..., :2]
        joint_scores = poses.keypoint_scores
        scores = poses.get('scores')
        if scores is None:
            boxes = poses.get('bbox_scores')
            means = joint_scores.mean(axis=1)
            scores = means if boxes is None else boxes
            if boxes is not None and self.is_topdown:
                scores = boxes * means
        boxes = poses.get('bboxes')
        if boxes is None:
            boxes = bboxes_around(keypoints, joint_scores)
        return keypoints, joint_scores, scores, boxes

    def _box_source(self, given: BoxesFrom | None) -> BoxSource | None:
        if not self.is_topdown:
            if given is not None:
                raise ConfigError(
                    'this model finds people by itself: leave boxes_from out'
                )
            return None
        if given is None and 'spm' in MODELS:
            given = 'spm'
        if isinstance(given, str) and given in MODELS:
            given = PoseInferencer(
                given, device=self.device, batch_size=self.batch_size
            )
        if isinstance(given, PoseInferencer):
            return PosesAsBoxes(given)
        if given is None or callable(given):
            return given
        if not isinstance(given, tuple | list):
            given = (given, None)
        config, weights = given
        if weights is None and Path(config).suffix == '.json':
            return DetectionsFile(config, self.box_thr, 2 * self.batch_size)
        if weights is None and Path(config).suffix != '.py':
            find_model(str(config))
        if not isinstance(config, Config):
            read_config_file(config)  # for its message
        return MMDetDetector(
            config, weights, self.device, self.box_thr, self.batch_size
        )


def _load(
    config: str | Path | Config, weights: str | Path | None, device: str
) -> torch.nn.Module:
    """Build a model of ours or mmpose's with its weights."""
    if isinstance(config, Config):
        config = deepcopy(config)
    else:
        config = read_config_file(config)
    with DefaultScope.overwrite_default_scope('mmpose'):
        # Without cfg_options it wants a backbone right under the model, which
        # RMPE's has not.
        model = init_model(config, None, device, cfg_options={})
    if weights is not None:
        check_weights(model, str(weights))
        checkpoint = load_checkpoint(model, str(weights), map_location='cpu')
        meta = checkpoint.get('meta') or {}
        model.dataset_meta = meta.get('dataset_meta', model.dataset_meta)
    return model


def _build_nms(nms: BasePoseNMS | dict | None) -> BasePoseNMS | None:
    if isinstance(nms, dict):
        # whatever the default scope is, say mmdet's
        return TASK_UTILS.build({'_scope_': 'mmpose', **nms})
    return nms


def _shape_of(sample: dict) -> Any:
    """The shape of the input, or those of several sizes of it."""
    inputs = sample['inputs']
    if isinstance(inputs, list | tuple):
        return tuple(each.shape for each in inputs)
    return inputs.shape
