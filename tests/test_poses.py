import numpy as np
import torch

from rmpe_spm.poses import bboxes_around, present_joints, visibility_flags


def test_extents_by_hand():
    poses = np.array(
        [
            [[3, 4], [1, 9], [2, 5]],
            [[-1, 0], [-1, 0], [-1, 0]],
            [[1, 1], [1, 1], [np.nan, 1]],  # which is not hidden
        ],
        np.float32,
    )
    boxes = bboxes_around(poses)
    assert boxes.dtype == np.float32
    np.testing.assert_array_equal(
        boxes, [[1, 4, 3, 9], [-1, 0, -1, 0], [np.nan, 1, np.nan, 1]]
    )
    assert bboxes_around(poses[:0]).shape == (0, 4)


def test_missing_joints_are_left_out():
    poses = np.array(
        [
            [[3, 4], [0, 0], [1, 9]],  # COCO's mark
            [[3, 4], [0, 0], [1, 9]],  # a joint that lies there
            [[3, 4], [np.nan, 2], [1, 9]],
            [[3, 4], [0, 7], [1, np.inf]],
            [[0, 0], [np.nan, np.nan], [0, 0]],
        ],
        np.float32,
    )
    scores = np.array(
        [[1, 0, 1], [1, 0.5, 1], [1, 1, 1], [0, 0, 1], [-1, 1, np.nan]]
    )
    present = [
        [True, False, True],
        [True, True, True],
        [True, False, True],
        [True, True, False],
        [False, False, False],
    ]
    np.testing.assert_array_equal(present_joints(poses, scores), present)
    tensors = torch.from_numpy(poses), torch.from_numpy(scores)
    assert present_joints(*tensors).tolist() == present
    boxes = bboxes_around(poses, scores)
    assert boxes.dtype == np.float32
    np.testing.assert_array_equal(
        boxes,
        [[1, 4, 3, 9], [0, 0, 3, 9], [1, 4, 3, 9], [0, 4, 3, 7], [0, 0, 0, 0]],
    )
    assert bboxes_around(poses[:0], scores[:0]).shape == (0, 4)


def test_flags_with_and_without_weights():
    flags = np.array([[2.0, 0.0, 1.0]])
    assert visibility_flags(flags) is flags
    weighted = np.stack((flags, np.ones_like(flags)), axis=-1)
    np.testing.assert_array_equal(visibility_flags(weighted), flags)
    # a view, so that what is changed in the sample is seen
    weighted[0, 1, 0] = 2
    assert visibility_flags(weighted)[0, 1] == 2
