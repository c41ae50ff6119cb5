"""Poses of whatever people have, as a stream."""

import os
from collections.abc import Iterator, Sequence
from copy import deepcopy
from functools import cached_property
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

from ..cameras import pinhole
from ..cli.arguments import read_config_file
from ..cli.preflight import check_weights
from ..engine.shipped import ALIASES, shipped_models
from ..errors import ConfigError
from ..pose_nms.base import BasePoseNMS
from .base import BaseInferencer, BoxSource, Poses
from .detections import DetectionsFile, MMDetDetector
from .drawing import OverlayWriter, PoseDrawer
from .formats import ResultWriter, show_results, write_results
from .inputs import Inputs, InputStream, Picture
from .models import find_model
from .results import PoseResult

BoxesFrom = Union[str, os.PathLike, tuple, BaseInferencer, BoxSource]

# joints by which a skeleton is one of people
PEOPLE = {'left_shoulder', 'right_shoulder', 'left_hip', 'right_hip'}

# of a shipped model's poses those with a lower score are no boxes
_PROPOSAL_THR = 0.05


class PoseInferencer(BaseInferencer):
    """Predict the poses in pictures, folders, videos and cameras.

    A shipped model goes by its name; any other of this package's or mmpose's
    by its config and checkpoint, top-down or bottom-up. Results come as a
    stream: a thread reads and prepares pictures while the network runs on
    batches across people and pictures, and what was taken is not kept.
    Where nobody is found there is nobody, ``(0, K, 2)``.

    Args:
        model (str, optional): The name of a shipped model
            (``rmpe-spm models``), or a file that ``tools/publish_weights.py``
            has written. Defaults to None.
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
            None: ``bboxes`` of the call, or of people the shipped
            ``'spm'``.
        nms (BasePoseNMS | dict, optional): A pose NMS or its config, such as
            ``dict(type='ParametricPoseNMS', preset='coco')``. Defaults to
            None: the shipped model's, otherwise none.
        batch_size (int): People (top-down) or pictures (bottom-up) that go
            through the network together. Defaults to 8.
        box_thr (float): Detections with a lower score are not used. Poses
            and ``bboxes`` all are. Defaults to 0.3.
        score_thr (float, optional): People with a lower score are left out.
            Defaults to None: the shipped model's own threshold, otherwise
            nobody.
        second_pass (bool): Whether a top-down model predicts once more, in
            boxes around its poses. Defaults to False.
        focal_length (float, optional): The camera's, in pixels of the
            pictures, with which a model in 3D places people. Defaults to
            None: the picture's longer side, which sees 53 degrees of it.

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
        score_thr: float | None = None,
        second_pass: bool = False,
        focal_length: float | None = None,
    ) -> None:
        if (model is None) == (config is None):
            raise ConfigError('give either a model by name, or config=')
        if batch_size < 1:
            raise ConfigError(f'batch_size must be at least 1: {batch_size}')
        if model is not None:
            shipped = find_model(model)
            config, weights = shipped.config, weights or shipped.weights
            nms = nms or shipped.nms
            score_thr = shipped.score_thr if score_thr is None else score_thr
        self.score_thr = score_thr or 0.0
        self.device = device or (
            'cuda:0' if torch.cuda.is_available() else 'cpu'
        )
        self.model = _load(config, weights, self.device)
        self.metainfo: dict[str, Any] = self.model.dataset_meta
        if isinstance(nms, dict):
            # whatever the default scope is, say mmdet's
            nms = TASK_UTILS.build({'_scope_': 'mmpose', **nms})
        self.nms: BasePoseNMS | None = nms
        # mmpose's head decodes one picture at a time
        head = getattr(self.model, 'head', None)
        self.batch_size = 1 if isinstance(head, DEKRHead) else batch_size
        self.box_thr = box_thr
        dataset = self.model.cfg.test_dataloader.dataset
        mode = dataset.get('data_mode', self.model.cfg.get('data_mode'))
        self.is_topdown = mode != 'bottomup'
        with DefaultScope.overwrite_default_scope('mmpose'):
            self.pipeline = Compose(deepcopy(dataset.pipeline))
        self._boxes_from = self._proposals_of(boxes_from)
        if second_pass and not self.is_topdown:
            raise ConfigError('second_pass is for a top-down model')
        self.second_pass = second_pass
        self.is_3d = getattr(head, 'with_depths', False)
        if focal_length is not None and not (self.is_3d and focal_length > 0):
            raise ConfigError(
                'focal_length, positive, is for a model in 3D, got '
                f'{focal_length}'
            )
        self.focal_length = focal_length

    def __call__(
        self,
        inputs: Inputs | InputStream,
        bboxes: Sequence | None = None,
        *,
        show: bool = False,
        vis_out_dir: str | Path | None = None,
        pred_out_dir: str | Path | None = None,
    ) -> Iterator[PoseResult]:
        """Predict poses as every inferencer does, and show or write them.

        Args:
            inputs: As in :meth:`BaseInferencer.__call__`.
            bboxes (sequence, optional): As there. Defaults to None.
            show (bool): Whether to show each drawn picture in a window.
                Defaults to False.
            vis_out_dir (str | Path, optional): Where drawn pictures and
                videos go. Defaults to None: nowhere.
            pred_out_dir (str | Path, optional): Where poses go, in mmpose's
                layout. Defaults to None: nowhere.

        Yields:
            PoseResult: The poses of each picture that can be read.
        """
        if not isinstance(inputs, InputStream):
            inputs = InputStream(inputs)
        results = self.with_pictures(inputs, bboxes)
        drawer = PoseDrawer(self.metainfo) if show or vis_out_dir else None
        if vis_out_dir or pred_out_dir:
            results = write_results(
                results,
                ResultWriter('mmpose', pred_out_dir) if pred_out_dir else None,
                OverlayWriter(vis_out_dir, drawer) if vis_out_dir else None,
            )
        if show:
            results = show_results(results, drawer)
        return (result for _, result in results)

    def prepare(
        self,
        picture: Picture,
        bbox_xyxy: np.ndarray | None = None,
        score: float = 1.0,
    ) -> dict:
        info = dict(img=picture.image, img_path=picture.name)
        if bbox_xyxy is not None:
            info.update(bbox=bbox_xyxy[None], bbox_score=np.float32([score]))
        if self.is_3d:
            focal = self.focal_length or max(picture.size)
            info.update(camera=pinhole(focal, picture.size))
        return self.pipeline({**info, **self.metainfo})

    def _shape_of(self, sample: dict) -> Any:
        inputs = sample['inputs']
        if isinstance(inputs, list | tuple):  # several sizes of one picture
            return tuple(each.shape for each in inputs)
        return inputs.shape

    @torch.no_grad()
    def _forward(self, samples: list[dict]) -> list[PoseDataSample]:
        with DefaultScope.overwrite_default_scope('mmpose'):
            return self.model.test_step(pseudo_collate(samples))

    def _poses(self, outputs: list[PoseDataSample]) -> Poses:
        samples = [each.pred_instances for each in outputs]
        samples = [each for each in samples if len(each)]
        if not samples:
            return self._no_poses()
        poses = InstanceData.cat(samples)
        keypoints = np.float32(poses.keypoints[..., :2])
        return Poses(
            keypoints,
            np.reshape(poses.keypoint_scores, keypoints.shape[:2]),
            poses.get('bbox_scores'),
            poses.get('bboxes'),
            poses.get('keypoints_3d'),
        )

    def _no_poses(self) -> Poses:
        test_cfg = getattr(self.model, 'test_cfg', None) or {}
        chosen = test_cfg.get('output_keypoint_indices')
        number = len(chosen or self.metainfo['keypoint_id2name'])
        poses = Poses(np.zeros((0, number, 2)), np.zeros((0, number)))
        if self.is_3d:
            in_space = np.zeros((0, number, 3), np.float32)
            poses = poses._replace(keypoints_3d=in_space)
        return poses

    @cached_property
    def box_source(self) -> BoxSource | None:
        """Where boxes come from; calls that have theirs load nothing."""
        given, shipped = self._boxes_from, {*shipped_models(), *ALIASES}
        if given is None:
            # the shipped SPM finds people, not hands or animals
            of_people = PEOPLE.issubset(self.metainfo['keypoint_name2id'])
            given = 'spm' if of_people and ALIASES['spm'] in shipped else None
        if given is None or callable(given):
            return given
        if isinstance(given, str) and given in shipped:
            proposer = PoseInferencer(
                given,
                device=self.device,
                batch_size=self.batch_size,
                score_thr=_PROPOSAL_THR,
            )
            return proposer.propose
        if not isinstance(given, tuple | list):
            given = (given, None)
        config, weights = given
        if weights is None and Path(config).suffix == '.json':
            return DetectionsFile(config, self.box_thr)
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
    if device == 'cpu':  # the memory format in which its convolutions are fast
        model.to(memory_format=torch.channels_last)
    if weights is not None:
        check_weights(model, str(weights))
        checkpoint = load_checkpoint(model, str(weights), map_location='cpu')
        meta = checkpoint.get('meta') or {}
        model.dataset_meta = meta.get('dataset_meta', model.dataset_meta)
    return model
