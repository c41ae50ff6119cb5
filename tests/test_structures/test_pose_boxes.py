import numpy as np

from rmpe_spm.structures.pose_boxes import bboxes_around


def test_extents_by_hand():
    poses = np.array(
        [[[3, 4], [1, 9], [2, 5]], [[-1, 0], [-1, 0], [-1, 0]]], np.float32
    )
    boxes = bboxes_around(poses)
    assert boxes.dtype == np.float32
    np.testing.assert_array_equal(boxes, [[1, 4, 3, 9], [-1, 0, -1, 0]])
    assert bboxes_around(poses[:0]).shape == (0, 4)


def test_a_joint_that_is_missing_is_not_hidden():
    poses = np.ones((2, 3, 2))
    poses[1, 2, 0] = np.nan
    np.testing.assert_array_equal(
        bboxes_around(poses), [[1, 1, 1, 1], [np.nan, 1, np.nan, 1]]
    )
