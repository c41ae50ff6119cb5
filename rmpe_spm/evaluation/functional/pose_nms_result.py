"""What every pose NMS returns."""

from dataclasses import dataclass

from .pose_similarity import Array


@dataclass
class PoseNMSResult:
    """The poses that a pose NMS leaves of one image, best first.

    All arrays are of the kind (numpy or torch, and the device) of the input.
    M is the number of poses kept, N that of the input, K of keypoints.

    Attributes:
        keep (np.ndarray | Tensor): Indices (M,) into the input, int64, by
            descending ``scores``.
        clusters (list): For every kept pose the indices of all poses that
            it stands for, int64: its own first, the others by descending
            confidence.
        keypoints (np.ndarray | Tensor): Poses (M, K, 2) in the input's
            pixels, merged where the rule merges.
        keypoint_scores (np.ndarray | Tensor): Their scores (M, K).
        scores (np.ndarray | Tensor): Scores (M,) of the persons.
    """

    keep: Array
    clusters: list[Array]
    keypoints: Array
    keypoint_scores: Array
    scores: Array

    def __len__(self) -> int:
        """Number of poses kept."""
        return len(self.keep)
