"""What every inferencer does: pictures and boxes through a network."""

from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..errors import ConfigError
from ..pose_nms.base import BasePoseNMS
from ..poses import bboxes_around
from .inputs import LOGGER, Inputs, InputStream, Picture
from .results import PoseResult
from .streaming import read_ahead, run_batches

Boxed = tuple[Picture, np.ndarray, np.ndarray]
# what puts boxes to a stream of pictures
BoxSource = Callable[[Iterable[Picture]], Iterator[Boxed]]

# sides of a body's box over those of its joints' extents
_BODY_SCALE = 1.25


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

    def propose(self, pictures: Iterable[Picture]) -> Iterator[Boxed]:
        """Yield each picture with boxes around the poses in it."""
        for picture, result in self.with_pictures(pictures):
            boxes = body_boxes(result.keypoints, result.keypoint_scores)
            yield clean_boxes(picture, boxes, result.scores)

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
        return given.propose if isinstance(given, BaseInferencer) else given


class GivenBoxes:
    """Boxes that the caller gives, one array a picture.

    An array (N, 4) in xyxy, or (N, 5) with scores, of the one picture; or a
    sequence of them, in which pictures that cannot be read count.
    """

    def __init__(self, bboxes: Sequence) -> None:
        rows = (
            [bboxes] if not len(bboxes) or np.ndim(bboxes[0]) == 1 else bboxes
        )
        self._boxes = []
        for index, each in enumerate(rows):
            array = np.asarray(each, dtype=np.float32)
            array = array if array.size else array.reshape(0, 4)
            if array.ndim != 2 or array.shape[1] not in (4, 5):
                raise ConfigError(
                    f'bboxes of picture {index} have the shape {array.shape}: '
                    'give (N, 4) in xyxy, or (N, 5) with scores'
                )
            self._boxes.append(array)

    def __call__(self, pictures: Iterable[Picture]) -> Iterator[Boxed]:
        """Yield each picture with its boxes."""
        for picture in read_ahead(pictures):
            if picture.index >= len(self._boxes):
                raise ConfigError(
                    f'bboxes has boxes of {len(self._boxes)} pictures, but '
                    f'none of {picture}: give one array a picture'
                )
            boxes = self._boxes[picture.index]
            scores = np.ones(len(boxes), np.float32)
            if boxes.shape[1] == 5:
                scores = boxes[:, 4]
            yield clean_boxes(picture, boxes[:, :4], scores)


def body_boxes(
    keypoints: np.ndarray, keypoint_scores: np.ndarray
) -> np.ndarray:
    """Boxes (N, 4) in xyxy around bodies, which reach beyond their joints."""
    boxes = bboxes_around(keypoints, keypoint_scores)
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    halves = (boxes[:, 2:] - boxes[:, :2]) / 2 * _BODY_SCALE
    halves = np.maximum(halves, 0.5)  # of joints on one line
    return np.concatenate((centers - halves, centers + halves), 1)


def clean_boxes(
    picture: Picture, bboxes_xyxy: np.ndarray, scores: np.ndarray
) -> Boxed:
    """Leave out boxes in which there can be nobody, and say so."""
    low, high = bboxes_xyxy[:, :2], bboxes_xyxy[:, 2:]
    good = np.isfinite(bboxes_xyxy).all(1) & np.isfinite(scores)
    good &= (high > low).all(1)
    good &= (high > 0).all(1) & (low < picture.size).all(1)
    if not good.all():
        first = np.flatnonzero(~good)[0]
        LOGGER.warning(
            f'{picture}: {(~good).sum()} of {len(good)} boxes are '
            'left out, for they are not finite, empty or outside the picture '
            f'(the first: {bboxes_xyxy[first].tolist()})'
        )
    return picture, bboxes_xyxy[good], scores[good]
