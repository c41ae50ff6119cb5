"""What is kept comes back to its image."""

import numpy as np
import pytest
import torch
from flat_images import images

from rmpe_spm.pose_nms.batch import clusters_of, flatten_poses, results_of


@pytest.mark.parametrize('make', [np.asarray, torch.from_numpy])
def test_clusters_come_back_to_their_images(make):
    poses = flatten_poses(*images(make))
    order = np.array([1, 0, 3, 4, 2])
    # pose 0 falls to 1; poses 2 falls to 3, and 4 stays
    selection = clusters_of(poses, order, np.array([0, 0, 2, 3, 2]))
    assert selection.picks.tolist() == [1, 3, 4]
    selection.scores = np.array([0.5, 0.1, 0.2])
    first, empty, last = results_of(poses, selection)
    assert first.keep.tolist() == [1]
    assert [c.tolist() for c in first.clusters] == [[1, 0]]
    assert len(empty) == 0 and empty.keypoints.shape == (0, 2, 2)
    assert last.keep.tolist() == [2, 1]
    assert [c.tolist() for c in last.clusters] == [[2], [1, 0]]
    assert last.scores.tolist() == [0.2, 0.1]
    kpts, scores, *_ = images()
    np.testing.assert_array_equal(last.keypoints, kpts[2][[2, 1]])
    np.testing.assert_array_equal(last.keypoint_scores, scores[2][[2, 1]])

    without = selection.having(np.array([True, False, True]))
    assert without.members.tolist() == [1, 0, 4]
    assert without.sizes.tolist() == [2, 1]
    assert without.scores.tolist() == [0.5, 0.2]
    assert without.keypoints.shape == (2, 2, 2)
