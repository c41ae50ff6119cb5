"""The call interface that every pose NMS has."""

from abc import ABCMeta, abstractmethod

from .batch import (
    Arrays,
    PoseBatch,
    PoseNMSResult,
    Selection,
    flatten_poses,
    results_of,
)
from .similarity import Array


class BasePoseNMS(metaclass=ABCMeta):
    """Base of the pose NMS components.

    The score of a person is ``scores`` where given. Otherwise it is the
    score of the box (1 where there is none) times the mean of the joint
    scores, those of the merged pose where poses are merged; NaN, infinite
    and negative scores of boxes and joints count as 0, and so do NaN and
    infinite ones among given ``scores``.
    """

    def __call__(
        self,
        keypoints: Array,
        keypoint_scores: Array,
        bboxes_xyxy: Array,
        bbox_scores: Array | None = None,
        scores: Array | None = None,
        areas: Array | None = None,
    ) -> PoseNMSResult:
        """Remove the redundant poses of one image.

        Args:
            keypoints (np.ndarray | Tensor): Shape (N, K, 2), in pixels.
            keypoint_scores (np.ndarray | Tensor): Shape (N, K).
            bboxes_xyxy (np.ndarray | Tensor): Shape (N, 4), in pixels.
            bbox_scores (np.ndarray | Tensor, optional): Shape (N,).
                Defaults to None.
            scores (np.ndarray | Tensor, optional): Scores (N,) of the
                persons, in place of those made from the box and the joints.
                Defaults to None.
            areas (np.ndarray | Tensor, optional): Areas (N,) in square
                pixels for rules that use OKS, in place of the boxes'.
                Defaults to None.

        Returns:
            PoseNMSResult: The poses kept, best first.

        Raises:
            ValueError: If the shapes don't fit one another.
        """
        return self.batch(
            [keypoints],
            [keypoint_scores],
            [bboxes_xyxy],
            None if bbox_scores is None else [bbox_scores],
            None if scores is None else [scores],
            None if areas is None else [areas],
        )[0]

    def batch(
        self,
        keypoints: Arrays,
        keypoint_scores: Arrays,
        bboxes_xyxy: Arrays,
        bbox_scores: Arrays | None = None,
        scores: Arrays | None = None,
        areas: Arrays | None = None,
    ) -> list[PoseNMSResult]:
        """Remove the redundant poses of every image of a batch, at once.

        Args:
            keypoints (sequence | np.ndarray | Tensor): For every image an
                array (N, K, 2), N its own; or one array (B, N, K, 2).
            keypoint_scores (sequence | np.ndarray | Tensor): The same with
                (N, K).
            bboxes_xyxy (sequence | np.ndarray | Tensor): With (N, 4).
            bbox_scores (sequence | np.ndarray | Tensor, optional): With
                (N,). Defaults to None.
            scores (sequence | np.ndarray | Tensor, optional): With (N,).
                Defaults to None.
            areas (sequence | np.ndarray | Tensor, optional): With (N,).
                Defaults to None.

        Returns:
            list[PoseNMSResult]: One an image, as from a call for each.

        Raises:
            ValueError: If the shapes don't fit one another.
        """
        if len(keypoints) == 0:
            return []
        poses = flatten_poses(
            keypoints,
            keypoint_scores,
            bboxes_xyxy,
            bbox_scores,
            scores,
            areas,
        )
        return results_of(poses, self.select(poses))

    @abstractmethod
    def select(self, poses: PoseBatch) -> Selection:
        """Choose the poses to keep.

        Args:
            poses (PoseBatch): Poses of any number of images.

        Returns:
            Selection: What is kept.
        """
