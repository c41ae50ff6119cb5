"""What every inferencer does: a stream of pictures through a network."""

from abc import ABCMeta, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..errors import ConfigError
from ..pose_nms.base import BasePoseNMS
from ..poses import bboxes_around
from .boxes import (
    Boxed,
    BoxSource,
    GivenBoxes,
    body_boxes,
    clean_boxes,
    poses_as_boxes,
)
from .inputs import Inputs, InputStream, Picture
from .results import PoseResult
from .streaming import read_ahead, run_batches


class Poses(NamedTuple):
    """The poses of a picture as a network gives them, in its pixels.

    ``scores`` (N,) are those of boxes for a top-down network, else of people;
    without ``bboxes_xyxy`` (N, 4) boxes are those around the joints;
    ``keypoints_3d`` (N, K, 3) are in millimetres of the camera's space.
    """

    keypoints: np.ndarray
    keypoint_scores: np.ndarray
    scores: np.ndarray | None = None
    bboxes_xyxy: np.ndarray | None = None
    keypoints_3d: np.ndarray | None = None


class BaseInferencer(metaclass=ABCMeta):
    """Predict poses as a stream.

    A subclass sets the attributes and says what its network does.

    Attributes:
        batch_size (int): Samples that go through the network together.
        is_topdown (bool): Whether it needs boxes.
        metainfo (dict): mmpose's data set metainfo.
        nms (BasePoseNMS | None): The pose NMS on what it predicts.
        box_source (BoxSource | None): Where boxes come from by default.
        score_thr (float): The lowest score of a person.
        second_pass (bool): Whether a top-down network predicts once more, in
            boxes around its poses.
    """

    batch_size: int
    is_topdown: bool
    metainfo: dict[str, Any]
    nms: BasePoseNMS | None = None
    box_source: BoxSource | None = None
    score_thr: float = 0.0
    second_pass: bool = False

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
        """Predict poses as a call does: yield each picture with its result."""
        if self.is_topdown:
            source = self.box_source
            if bboxes is not None:
                source = GivenBoxes(bboxes)
            if source is None:
                raise ConfigError(
                    'a top-down model needs boxes: give boxes_from= (a '
                    'detections file, an mmdet config and checkpoint, or a '
                    'PoseInferencer), or bboxes= in the call'
                )
            outputs = self._predict_in(source(pictures))
            if self.second_pass:
                outputs = self._predict_in(self._bodies(outputs))
        elif bboxes is not None:
            raise ConfigError(
                'this model finds people by itself: leave bboxes out'
            )
        else:
            items = ((each, [self.prepare(each)]) for each in pictures)
            outputs = self._run(read_ahead(items))
        return (
            (picture, self._result(picture, self._poses(own)))
            for picture, own in outputs
        )

    def _run(self, items: Iterable) -> Iterator[tuple[Picture, list]]:
        return run_batches(
            items, self._forward, self._shape_of, self.batch_size
        )

    def _predict_in(
        self, boxed: Iterable[Boxed]
    ) -> Iterator[tuple[Picture, list]]:
        """The outputs of a top-down network in boxes."""
        return self._run(
            (picture, map(partial(self.prepare, picture), boxes, scores))
            for picture, boxes, scores in boxed
        )

    def _bodies(
        self, outputs: Iterable[tuple[Picture, list]]
    ) -> Iterator[Boxed]:
        """Boxes around the poses of a first pass, with their own scores."""
        for picture, own in outputs:
            poses = self._poses(own)
            boxes = body_boxes(poses.keypoints, poses.keypoint_scores)
            scores = poses.scores
            if scores is None:
                scores = np.ones(len(boxes), np.float32)
            yield clean_boxes(picture, np.float32(boxes), scores)

    @abstractmethod
    def prepare(
        self,
        picture: Picture,
        bbox_xyxy: np.ndarray | None = None,
        score: float = 1.0,
    ) -> Any:
        """Make the network's input of a picture or of a box (4,) in it."""

    @abstractmethod
    def _shape_of(self, sample: Any) -> Any:
        """Tell the shape of an input: those of one shape share a batch."""

    @abstractmethod
    def _forward(self, samples: list) -> Sequence:
        """Run the network on inputs of one shape; an output for each."""

    @abstractmethod
    def _poses(self, outputs: list) -> Poses:
        """Join the outputs of one picture, of which there may be none."""

    def _result(self, picture: Picture, poses: Poses) -> PoseResult:
        """Apply the pose NMS and score the people."""
        keypoints, joint_scores, given, boxes, in_space = poses
        if boxes is None:
            boxes = bboxes_around(keypoints, joint_scores)
        if self.nms is not None and len(keypoints):
            kept = self.nms(keypoints, joint_scores, boxes, given)
            keypoints, joint_scores = kept.keypoints, kept.keypoint_scores
            scores, boxes = kept.scores, boxes[kept.keep]
            in_space = None if in_space is None else in_space[kept.keep]
        elif given is None or self.is_topdown:
            scores = joint_scores.mean(axis=1)
            scores = scores if given is None else scores * given
        else:
            scores = given
        return PoseResult(
            np.float32(keypoints),
            np.float32(joint_scores),
            np.float32(scores),
            np.float32(boxes),
            picture.name,
            picture.frame,
            picture.size,
            self.metainfo,
            keypoints_3d=in_space,
            fps=picture.fps,
        ).above(self.score_thr)

    def _proposals_of(self, given: Any) -> BoxSource | None:
        """Take boxes from another inferencer, a box source or nothing."""
        if not self.is_topdown and given is not None:
            raise ConfigError(
                'this model finds people by itself: leave boxes_from out'
            )
        if isinstance(given, BaseInferencer):
            return partial(poses_as_boxes, given)
        return given
