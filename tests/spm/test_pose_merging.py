import numpy as np
import pytest
import torch

from rmpe_spm.spm.decoding import PaddedPoses
from rmpe_spm.spm.map_merging import merge_poses
from rmpe_spm.spm.postprocessing import unpad_poses


def poses_of(boxes, scores, finite=True):
    """Poses of two joints, the corners of boxes (x0, y0, x1, y1)."""
    corners = torch.tensor(boxes).float().reshape(1, -1, 2, 2)
    scores = torch.tensor([scores]).float()
    return PaddedPoses(
        keypoints=corners,
        root_scores=scores,
        keypoint_scores=scores[..., None] * torch.tensor([1.0, 0.5]),
        valid=scores > 0.01,
        finite=torch.tensor([finite]),
    )


def scales_of(sizes, picture=(200, 100)):
    """The regions that inputs without padding show: the picture."""
    return [np.array(picture, float) for _ in sizes]


def merged_boxes(poses):
    kept = poses.valid[0]
    return poses.keypoints[0][kept].flatten(1).tolist()


SIZES = [(200, 100), (100, 50), (50, 25)]


def test_each_size_gives_the_people_that_suit_it():
    large = poses_of([[0, 0, 9, 5], [0, 0, 30, 20], [0, 0, 80, 9]], [3, 2, 1])
    middle = poses_of([[0, 0, 9, 5], [2, 4, 32, 14], [0, 0, 80, 9]], [3, 2, 1])
    small = poses_of([[0, 0, 9, 5], [0, 0, 30, 20], [5, 1, 95, 2]], [3, 2, 1])
    merged = merge_poses(
        [large, middle, small], SIZES, scales_of(SIZES), (20, 50)
    )
    # the largest input's small and fitting people, the middle one's fitting
    # ones, the smallest one's fitting and large ones, times 1, 2 and 4
    assert merged_boxes(merged) == [
        [0, 0, 9, 5],
        [0, 0, 30, 20],
        [4, 8, 64, 28],
        [0, 0, 120, 80],
        [20, 4, 380, 8],
    ]
    assert merged.root_scores[0, :5].tolist() == [3, 2, 2, 2, 1]
    assert merged.keypoint_scores[0, 2].tolist() == [2, 1]
    assert merged.keypoints.shape == (1, 9, 2, 2)


def test_valid_poses_come_first_and_best_first():
    one = poses_of([[0, 0, 30, 9], [0, 0, 40, 9]], [0.3, 0.0])
    two = poses_of([[0, 0, 31, 9], [0, 0, 99, 9]], [0.8, 0.9])
    sizes = SIZES[:2]
    merged = merge_poses([two, one], sizes, scales_of(sizes), (10, 50))
    assert merged.valid[0].tolist() == [True, True, False, False]
    keypoints, scores = unpad_poses(merged, [{}])
    assert keypoints[0][:, 1, 0].tolist() == [31, 60]
    np.testing.assert_allclose(scores[0][:, 0], [0.8, 0.3], rtol=1e-6)


def test_bounds_are_included():
    sizes = SIZES[:2]
    poses = poses_of([[0, 0, 50, 1], [0, 0, 25, 1], [0, 0, 51, 1]], [3, 2, 1])
    merged = merge_poses([poses, poses], sizes, scales_of(sizes), (25, 50))
    assert merged_boxes(merged) == [
        [0, 0, 50, 1],
        [0, 0, 100, 2],
        [0, 0, 25, 1],
        [0, 0, 50, 2],
        [0, 0, 102, 2],
    ]


def test_padding_around_the_image_is_taken_out():
    """The picture is around the inputs' centres, whatever was padded."""
    sizes = [(200, 128), (96, 64)]
    scales = [np.array([200, 128.0]), np.array([192, 128.0])]
    poses = [poses_of([[100, 64, 120, 64]], [1])] * 2
    poses[1] = poses_of([[48, 32, 58, 42]], [0.5])
    merged = merge_poses(poses, sizes, scales, (8, 20))
    assert merged_boxes(merged) == [[100, 64, 120, 64], [100, 64, 120, 84]]


def test_order_of_the_sizes_does_not_matter():
    small = poses_of([[0, 0, 9, 5], [0, 0, 60, 20]], [2, 1])
    large = poses_of([[1, 1, 8, 7], [0, 0, 60, 20]], [4, 3])
    sizes = [(100, 50), (200, 100)]
    merged = merge_poses([small, large], sizes, scales_of(sizes), (10, 50))
    # in pixels of the first input
    assert merged_boxes(merged) == [[0.5, 0.5, 4, 3.5], [0, 0, 60, 20]]


def test_images_of_a_batch_are_apart_and_broken_ones_empty():
    batch = [
        PaddedPoses(
            *(torch.cat(pair) for pair in zip(one, other, strict=True))
        )
        for one, other in (
            (
                poses_of([[0, 0, 30, 9]], [0.5]),
                poses_of([[0, 0, 40, 9]], [0.9]),
            ),
            (
                poses_of([[0, 0, 99, 9]], [0.7]),
                poses_of([[0, 0, 45, 9]], [0.0], finite=False),
            ),
        )
    ]
    sizes = SIZES[:2]
    merged = merge_poses(batch, sizes, scales_of(sizes), (10, 50))
    assert merged.valid.tolist() == [[True, True], [False, False]]
    assert merged.finite.tolist() == [True, False]
    assert merged.keypoints[0, :, 1, 0].tolist() == [198, 30]


def test_a_gap_between_the_sizes_is_refused():
    poses = [poses_of([[0, 0, 30, 9]], [0.5])] * 3
    with pytest.raises(ValueError, match=r'pose_size_range=\(20, 39\).*2.00'):
        merge_poses(poses, SIZES, scales_of(SIZES), (20, 39))
    merged = merge_poses(poses, SIZES, scales_of(SIZES), (20, 40))
    assert len(merged_boxes(merged)) == 3


def test_a_range_just_wide_enough_is_no_gap():
    """mmpose's regions are float32; these sizes are a factor 2 apart."""
    sizes = [(320, 256), (160, 128)]
    scales = [
        np.array([427, 427 * 256 / 320], np.float32),
        np.array([427, 427 * 256 / 320]),
    ]
    poses = [poses_of([[0, 0, 150, 9]], [0.5])] * 2
    merged = merge_poses(poses, sizes, scales, (100, 200))
    assert len(merged_boxes(merged)) == 2


@pytest.mark.parametrize(
    'size_range', [100, (100,), (1, 2, 3), (np.nan, 3), (220, 100), (-1, 9)]
)
def test_what_is_no_range_is_refused(size_range):
    poses = [poses_of([[0, 0, 30, 9]], [0.5])] * 2
    with pytest.raises(ValueError, match='pose_size_range must be two'):
        merge_poses(poses, SIZES[:2], scales_of(SIZES[:2]), size_range)


def test_in_a_single_size_everybody_counts():
    poses = poses_of([[0, 0, 3, 9], [0, 0, 300, 9]], [0.5, 0.4])
    merged = merge_poses([poses], SIZES[:1], scales_of(SIZES[:1]), (10, 20))
    assert len(merged_boxes(merged)) == 2
