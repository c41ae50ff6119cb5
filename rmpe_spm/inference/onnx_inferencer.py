"""Exported models, run by onnxruntime: PyTorch is not needed."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigError
from ..pose_nms.base import BasePoseNMS
from ..pose_nms.oks_nms import OKSNMS, NearbyJointsNMS, SoftOKSNMS
from ..pose_nms.parametric import ParametricPoseNMS
from ..poses import bboxes_around
from .base import BaseInferencer, BoxSource, Poses
from .inputs import Picture
from .warping import View, bottomup_view, topdown_view

# where an exported model says how it is used
METADATA_KEY = 'rmpe_spm'
_PROVIDERS = ('CUDAExecutionProvider', 'CPUExecutionProvider')
_RULES = (NearbyJointsNMS, OKSNMS, ParametricPoseNMS, SoftOKSNMS)


class OnnxPoseInferencer(BaseInferencer):
    """Predict poses with an exported model, as ``PoseInferencer`` does.

    It needs ``pip install rmpe-spm[onnx]``, which brings no PyTorch. Calls,
    inputs, boxes and results are those of
    :class:`~rmpe_spm.PoseInferencer`.

    Args:
        path (str | Path): What ``rmpe-spm export`` has written.
        boxes_from (optional): Where a top-down model has its boxes from:
            another inferencer, whose poses become boxes. Defaults to None:
            ``bboxes`` of the call.
        nms (BasePoseNMS | dict, optional): A pose NMS or its config. Defaults
            to None: none but a single-stage network's own.
        score_thr (float, optional): People with a lower score are left out.
            Defaults to None: what the model had when it was exported.
        batch_size (int): Pictures or people that go through the network
            together. Defaults to 8.
        num_threads (int, optional): Of onnxruntime. Defaults to None: all
            cores.

    Raises:
        ConfigError: The file is missing or is no such model.
        ImportError: onnxruntime is not installed.

    Example::

        inferencer = OnnxPoseInferencer('spm.onnx')
        for result in inferencer(['photo.jpg', 'holiday/']):
            print(result.path, result.keypoints.shape)
    """

    def __init__(
        self,
        path: str | os.PathLike,
        *,
        boxes_from: BaseInferencer | BoxSource | None = None,
        nms: BasePoseNMS | dict | None = None,
        score_thr: float | None = None,
        batch_size: int = 8,
        num_threads: int | None = None,
    ) -> None:
        if batch_size < 1:
            raise ConfigError(f'batch_size must be at least 1: {batch_size}')
        self._session = _open(path, num_threads or 0)
        settings = _read_settings(self._session, path)
        self.is_topdown: bool = settings['is_topdown']
        self.batch_size = batch_size
        if score_thr is None:
            score_thr = settings.get('score_thr', 0.0)
        self.score_thr = score_thr
        names = dict(enumerate(settings['keypoint_names']))
        self.metainfo = dict(
            keypoint_id2name=names, skeleton_links=settings['skeleton_links']
        )
        self.nms = build_rule(nms)
        self.box_source = self._proposals_of(boxes_from)
        self._view: dict[str, Any] = settings['view']
        self._zooms = [1.0, *settings.get('aug_scales', [])]
        self._size_range = settings.get('pose_size_range')
        self._own_nms = build_rule(settings['nms'])
        self._max_num_people: int | None = settings['max_num_people']

    def prepare(
        self,
        picture: Picture,
        bbox_xyxy: np.ndarray | None = None,
        score: float = 1.0,
    ) -> dict[str, Any]:
        if bbox_xyxy is None:
            views = [
                bottomup_view(picture.size, zoom, **self._view)
                for zoom in self._zooms
            ]
        else:
            views = [topdown_view(bbox_xyxy, **self._view)]
        return dict(
            images=[view.show(picture.image) for view in views],
            regions=[view.region(picture.size) for view in views],
            views=views,
            bbox_xyxy=bbox_xyxy,
            score=score,
        )

    def _shape_of(self, sample: dict[str, Any]) -> tuple:
        return tuple(image.shape for image in sample['images'])

    def _forward(self, samples: list[dict[str, Any]]) -> list[tuple]:
        """Each sample with what the network says of each of its sizes."""
        outputs = []
        for size in range(len(samples[0]['views'])):
            names = ['images'] if self.is_topdown else ['images', 'regions']
            inputs = {
                name: np.stack([each[name][size] for each in samples])
                for name in names
            }
            arrays = self._session.run(None, inputs)
            outputs.append(list(zip(*arrays, strict=True)))
        return list(zip(samples, *outputs, strict=True))

    def _poses(self, outputs: list[tuple]) -> Poses:
        if not self.is_topdown:
            ((sample, *sizes),) = outputs
            return self._people(sample['views'], sizes)
        if not outputs:
            number = len(self.metainfo['keypoint_id2name'])
            return Poses(np.zeros((0, number, 2)), np.zeros((0, number)))
        samples, own = zip(*outputs, strict=True)
        points, scores = zip(*own, strict=True)
        return Poses(
            np.float32([
                sample['views'][0].to_picture(own)
                for sample, own in zip(samples, points, strict=True)
            ]),
            np.stack(scores),
            np.float32([sample['score'] for sample in samples]),
            np.stack([sample['bbox_xyxy'] for sample in samples]),
        )  # fmt: skip

    def _people(self, views: list[View], sizes: list[tuple]) -> Poses:
        """What ``SPMHead`` does after decoding, in pixels of the picture."""
        found = []
        for view, (points, joint_scores, root_scores) in zip(
            views, sizes, strict=True
        ):
            kept = (root_scores > 0) & self._has_size(view, views, points)
            found.append((view.to_picture(points[kept]), joint_scores[kept]))
        keypoints, joint_scores = map(np.concatenate, zip(*found, strict=True))
        keypoints = keypoints.astype(np.float32)
        scores = joint_scores.mean(axis=1)
        if self._own_nms is None:
            best = np.argsort(-scores, kind='stable')
            keypoints, joint_scores = keypoints[best], joint_scores[best]
            scores = scores[best]
        else:
            boxes = bboxes_around(keypoints)
            kept = self._own_nms(keypoints, joint_scores, boxes)
            keypoints, joint_scores = kept.keypoints, kept.keypoint_scores
            scores = kept.scores
        limit = self._max_num_people
        keypoints = np.float32(keypoints[:limit])
        return Poses(
            keypoints,
            joint_scores[:limit],
            scores[:limit],
            bboxes_around(keypoints),
        )

    def _has_size(
        self, view: View, views: list[View], points: np.ndarray
    ) -> np.ndarray:
        """Which poses (M, K, 2) count, as in ``merge_scale_poses``."""
        longer = np.ptp(points, axis=1).max(axis=1)
        counts = np.ones(len(points), bool)
        zooms = [each.zoom[0] for each in views]
        if view.zoom[0] < max(zooms):
            counts &= longer >= self._size_range[0]
        if view.zoom[0] > min(zooms):
            counts &= longer <= self._size_range[1]
        return counts


def build_rule(nms: BasePoseNMS | dict | None) -> BasePoseNMS | None:
    """Build a pose NMS of its config, without a registry."""
    if not isinstance(nms, dict):
        return nms
    settings = dict(nms)
    name = settings.pop('type', None)
    rules = {rule.__name__: rule for rule in _RULES}
    if name not in rules:
        raise ConfigError(
            f'no pose NMS {name!r}: those there are: {", ".join(rules)}'
        )
    return rules[name](**settings)


def _open(path: str | os.PathLike, num_threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(
            'OnnxPoseInferencer needs the package onnxruntime: '
            "'pip install rmpe-spm[onnx]'"
        ) from error
    if not Path(path).is_file():
        raise ConfigError(f'there is no exported model {path}')
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.log_severity_level = 3
    available = onnxruntime.get_available_providers()
    providers = [name for name in _PROVIDERS if name in available]
    try:
        return onnxruntime.InferenceSession(
            os.fspath(path), options, providers=providers
        )
    except Exception as error:  # of a class for each of its reasons
        raise ConfigError(f'{path} is no ONNX model: {error}') from error


def _read_settings(session: Any, path: str | os.PathLike) -> dict[str, Any]:
    metadata = session.get_modelmeta().custom_metadata_map
    if METADATA_KEY not in metadata:
        raise ConfigError(
            f'{path} was not written by rmpe-spm export: it does not say how '
            'its input is made'
        )
    return json.loads(metadata[METADATA_KEY])
