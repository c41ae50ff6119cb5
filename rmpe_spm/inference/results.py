"""What prediction gives: the poses of one picture."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import supervision


_OF_PEOPLE = (
    'keypoints',
    'keypoint_scores',
    'scores',
    'bboxes_xyxy',
    'track_ids',
    'keypoints_3d',
)


@dataclass(frozen=True, eq=False)
class PoseResult:
    """The poses of one picture, best person first where a pose NMS ran.

    Coordinates are in pixels of the upright picture. ``len(result)`` is the
    number N of people, which may be 0.

    Attributes:
        keypoints (np.ndarray): Joints (N, K, 2), x and y, float32.
        keypoint_scores (np.ndarray): Scores (N, K) of the joints, float32.
        scores (np.ndarray): Scores (N,) of the people, float32: what the
            pose NMS or the single-stage network says; otherwise the score
            of the box times the mean of the joints' scores.
        bboxes_xyxy (np.ndarray): Boxes (N, 4), float32: those that the
            poses were predicted in, or those around the joints.
        path (str): The path or URL of the picture or the video.
        frame (int | None): The place in the video, None for a picture.
        size (tuple[int, int]): Width and height of the picture.
        metainfo (dict): mmpose's data set metainfo.
        track_ids (np.ndarray | None): Ids (N,) of the people in a video, of
            :class:`~rmpe_spm.PoseTracker`; -1 for nobody's pose.
        keypoints_3d (np.ndarray | None): Of a model in 3D the joints (N, K,
            3) in millimetres of the camera's space: x right, y down, z away
            from it. The pose NMS and smoothing leave them as they are.
        fps (float | None): Frames a second of the video.
    """

    keypoints: np.ndarray
    keypoint_scores: np.ndarray
    scores: np.ndarray
    bboxes_xyxy: np.ndarray
    path: str
    frame: int | None
    size: tuple[int, int]
    metainfo: dict[str, Any]
    track_ids: np.ndarray | None = None
    keypoints_3d: np.ndarray | None = None
    fps: float | None = None

    def __len__(self) -> int:
        """Count the people."""
        return len(self.keypoints)

    @property
    def bboxes(self) -> np.ndarray:
        """``bboxes_xyxy``, under the name that mmpose gives boxes."""
        return self.bboxes_xyxy

    @property
    def keypoint_names(self) -> list[str]:
        """Names (K) of the joints."""
        names = self.metainfo['keypoint_id2name']
        return [names[index] for index in sorted(names)]

    @property
    def skeleton(self) -> list[tuple[int, int]]:
        """Pairs of joints to draw a line between."""
        return [tuple(link) for link in self.metainfo['skeleton_links']]

    def above(self, score_thr: float) -> 'PoseResult':
        """Leave the people whose score is at least so high."""
        kept, fields = self.scores >= score_thr, {}
        for name in _OF_PEOPLE:
            values = getattr(self, name)
            fields[name] = None if values is None else values[kept]
        return replace(self, **fields)

    def in_space(self, index: int) -> dict[str, list]:
        """``keypoints_3d`` of a person, nothing where there are none."""
        if self.keypoints_3d is None:
            return {}
        return dict(keypoints_3d=self.keypoints_3d[index].tolist())

    def track_id(self, index: int, key: str = 'track_id') -> dict[str, int]:
        """The id of a person under a key, nothing where nobody tracked."""
        if self.track_ids is None:
            return {}
        return {key: int(self.track_ids[index])}

    def to_dict(self) -> dict[str, Any]:
        """Give the result in lists and numbers, as JSON takes them."""
        return dict(
            path=self.path,
            frame=self.frame,
            size=list(self.size),
            keypoint_names=self.keypoint_names,
            people=[
                dict(
                    keypoints=self.keypoints[i].tolist(),
                    keypoint_scores=self.keypoint_scores[i].tolist(),
                    score=float(self.scores[i]),
                    bbox_xyxy=self.bboxes_xyxy[i].tolist(),
                    **self.in_space(i),
                    **self.track_id(i),
                )
                for i in range(len(self))
            ],
        )

    def to_supervision(self) -> 'supervision.KeyPoints':
        """Give the result to the ``supervision`` package, as its KeyPoints.

        ``class_id`` is 0, and ``data`` has ``score`` and ``bbox_xyxy``, with
        tracking ``track_id`` too.
        """
        try:
            from supervision import KeyPoints
        except ImportError as error:
            raise ImportError(
                'to_supervision needs the package supervision: '
                "'pip install supervision'"
            ) from error
        data = dict(score=self.scores, bbox_xyxy=self.bboxes_xyxy)
        if self.track_ids is not None:
            data['track_id'] = self.track_ids
        # By place: the name of the third one changed in its version 0.29.
        return KeyPoints(
            self.keypoints,
            np.zeros(len(self), dtype=int),
            self.keypoint_scores,
            data=data,
        )
