"""The call interface on a pose NMS that keeps every second pose."""

import numpy as np
import pytest

from rmpe_spm.evaluation.base_pose_nms import BasePoseNMS
from rmpe_spm.evaluation.functional.pose_nms_batch import clusters_of


class EverySecond(BasePoseNMS):
    """Each pose at an odd place falls to the one before it."""

    def select(self, poses):
        order = np.arange(len(poses.keypoints))
        return clusters_of(poses, order, order - poses.positions % 2)


def test_one_image_and_several():
    kpts = np.arange(10.0).reshape(5, 1, 2)
    scores = np.arange(5, 0, -1.0).reshape(5, 1)
    boxes = np.zeros((5, 4))
    nms = EverySecond()
    result = nms(kpts, scores, boxes)
    assert result.keep.tolist() == [0, 2, 4]
    assert [c.tolist() for c in result.clusters] == [[0, 1], [2, 3], [4]]
    np.testing.assert_array_equal(result.keypoints, kpts[::2])
    a, b = nms.batch(
        [kpts[:3], kpts], [scores[:3], scores], [boxes[:3], boxes]
    )
    assert a.keep.tolist() == [0, 2] and b.keep.tolist() == [0, 2, 4]
    best_last = nms(kpts, scores, boxes, scores=np.arange(5.0))
    assert best_last.keep.tolist() == [4, 2, 0]
    weighted = nms(kpts, scores, boxes, bbox_scores=np.full(5, 0.5))
    assert weighted.scores.tolist() == [2.5, 1.5, 0.5]
    assert nms.batch(np.zeros((0, 3, 1, 2)), [], []) == []


def test_base_is_abstract():
    with pytest.raises(TypeError, match='select'):
        BasePoseNMS()
