"""The result of a pose NMS."""

import numpy as np

from rmpe_spm.pose_nms.base import PoseNMSResult


def test_length_is_the_number_of_poses():
    result = PoseNMSResult(
        keep=np.array([4, 1]),
        clusters=[np.array([4]), np.array([1, 0])],
        keypoints=np.zeros((2, 3, 2)),
        keypoint_scores=np.zeros((2, 3)),
        scores=np.zeros(2),
    )
    assert len(result) == 2
