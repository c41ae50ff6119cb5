import numpy as np
import pytest
import torch

from rmpe_spm.spm.decoding import PaddedPoses
from rmpe_spm.spm.kinematics import PoseRepresentation, build_kinematic_tree
from rmpe_spm.spm.test_time_augmentation import (
    merge_scale_poses,
    merge_scales,
    unflip_heatmaps,
)


def test_unflipped_heatmaps():
    stride, width = 4, 16

    def ramp(x):
        return 3 * x + 1

    x = stride * torch.arange(width).float()
    seen = ramp(stride * width - 1 - x).expand(1, 3, 2, width)
    seen = seen * torch.tensor([1.0, 10.0, 100.0])[:, None, None]
    back = unflip_heatmaps(seen, [1, 0], stride)
    expected = ramp(x) * torch.tensor([10.0, 1.0, 100.0])[:, None, None]
    torch.testing.assert_close(
        back[0, :, :, 1:], expected.expand(3, 2, width)[..., 1:]
    )
    plain = unflip_heatmaps(seen, [1, 0], stride, shift=False)
    torch.testing.assert_close(plain, seen[:, [1, 0, 2]].flip(-1))
    root_only = unflip_heatmaps(seen[:, 2:], [1, 0], stride)
    torch.testing.assert_close(root_only, back[:, 2:])


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_scales_of_half_precision_merge_in_float32(dtype):
    """Coordinates of maps wider than 256 cells do not fit into bfloat16."""
    sizes = [(400, 20), (200, 10)]
    maps = [torch.rand(1, 3, h, w).to(dtype) for w, h in sizes]
    point = PoseRepresentation(build_kinematic_tree([-1]), 9.0)
    found, expected = (
        merge_scales(
            [own.split((1, 2), dim=1) for own in each],
            inputs_of(*sizes, picture=(400, 20)),
            point,
            np.ones(2),
        )
        for each in (maps, [own.float() for own in maps])
    )
    torch.testing.assert_close(found, expected)
    assert {own.dtype for own in found} == {torch.float32}


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


def inputs_of(*sizes, picture=(200, 100)):
    """Inputs without padding, which show the whole picture."""
    return sizes, [np.array(picture, float) for _ in sizes]


def merged_boxes(poses):
    """Those that count, the best first."""
    order = poses.root_scores[0].argsort(descending=True, stable=True)
    kept = order[poses.valid[0][order]]
    return poses.keypoints[0][kept].flatten(1).tolist()


THREE = inputs_of((200, 100), (100, 50), (50, 25))
TWO = inputs_of((200, 100), (100, 50))


def test_each_size_gives_the_people_that_suit_it():
    large = poses_of([[0, 0, 9, 5], [0, 0, 30, 20], [0, 0, 80, 9]], [3, 2, 1])
    middle = poses_of([[0, 0, 9, 5], [2, 4, 32, 14], [0, 0, 80, 9]], [3, 2, 1])
    small = poses_of([[0, 0, 9, 5], [0, 0, 30, 20], [5, 1, 95, 2]], [3, 2, 1])
    merged = merge_scale_poses([large, middle, small], THREE, (20, 50))
    # the largest input's small and fitting people, the middle one's fitting
    # ones, the smallest one's fitting and large ones, times 1, 2 and 4
    assert merged_boxes(merged) == [
        [0, 0, 9, 5],
        [0, 0, 30, 20],
        [4, 8, 64, 28],
        [0, 0, 120, 80],
        [20, 4, 380, 8],
    ]
    kept = merged.valid[0]
    assert kept.shape == (9,)
    assert merged.root_scores[0, kept].tolist() == [3, 2, 2, 2, 1]
    assert merged.keypoint_scores[0, kept][1].tolist() == [2, 1]


# the picture is around the inputs' centres, whatever was padded
PADDED = (
    [(200, 128), (96, 64)],
    [np.array([200, 128.0]), np.array([192, 128.0])],
)


@pytest.mark.parametrize(
    ('inputs', 'size_range', 'poses', 'expected'),
    [
        # both bounds are included
        (
            TWO,
            (25, 50),
            [([[0, 0, 50, 1], [0, 0, 25, 1], [0, 0, 51, 1]], [3, 2, 1])] * 2,
            [
                [0, 0, 50, 1],
                [0, 0, 100, 2],
                [0, 0, 25, 1],
                [0, 0, 50, 2],
                [0, 0, 102, 2],
            ],
        ),
        (
            PADDED,
            (8, 20),
            [([[100, 64, 120, 64]], [1]), ([[48, 32, 58, 42]], [0.5])],
            [[100, 64, 120, 64], [100, 64, 120, 84]],
        ),
        # the smaller size first; in pixels of the first input
        (
            inputs_of((100, 50), (200, 100)),
            (10, 50),
            [
                ([[0, 0, 9, 5], [0, 0, 60, 20]], [2, 1]),
                ([[1, 1, 8, 7], [0, 0, 60, 20]], [4, 3]),
            ],
            [[0.5, 0.5, 4, 3.5], [0, 0, 60, 20]],
        ),
        # in a single size everybody counts
        (
            inputs_of((200, 100)),
            (10, 20),
            [([[0, 0, 3, 9], [0, 0, 300, 9]], [0.5, 0.4])],
            [[0, 0, 3, 9], [0, 0, 300, 9]],
        ),
        # only poses that count are taken
        (
            TWO,
            (10, 50),
            [
                ([[0, 0, 31, 9], [0, 0, 99, 9]], [0.8, 0.9]),
                ([[0, 0, 30, 9], [0, 0, 40, 9]], [0.3, 0.0]),
            ],
            [[0, 0, 31, 9], [0, 0, 60, 18]],
        ),
    ],
)
def test_who_counts_and_where(inputs, size_range, poses, expected):
    poses = [poses_of(*own) for own in poses]
    merged = merge_scale_poses(poses, inputs, size_range)
    assert merged_boxes(merged) == expected


def test_images_of_a_batch_are_apart_and_broken_ones_empty():
    good = poses_of([[0, 0, 30, 9]], [0.5]), poses_of([[0, 0, 99, 9]], [0.7])
    bad = (
        poses_of([[0, 0, 40, 9]], [0.9]),
        poses_of([[0, 0, 45, 9]], [0.0], finite=False),
    )
    batch = [
        PaddedPoses(*map(torch.cat, zip(one[:5], other[:5], strict=True)))
        for one, other in zip(good, bad, strict=True)
    ]
    merged = merge_scale_poses(batch, TWO, (10, 50))
    assert merged.valid.tolist() == [[True, True], [False, False]]
    assert merged.finite.tolist() == [True, False]
    assert merged.keypoints[0, :, 1, 0].tolist() == [30, 198]


# mmpose's regions are float32: these sizes are a little over 2 apart
ROUNDED = (
    [(320, 320), (160, 160)],
    [np.full(2, 341.6), np.full(2, 341.6, np.float32)],
)


@pytest.mark.parametrize(
    ('inputs', 'enough'), [(THREE, (20, 40)), (ROUNDED, (100, 200))]
)
def test_a_gap_between_the_sizes_is_refused(inputs, enough):
    poses = [poses_of([[0, 0, sum(enough) / 2, 9]], [0.5])] * len(inputs[0])
    merged = merge_scale_poses(poses, inputs, enough)
    assert len(merged_boxes(merged)) == len(poses)
    gap = enough[0], enough[1] - 1
    with pytest.raises(
        ValueError, match=rf'_range=\({gap[0]}, {gap[1]}\).*2.00'
    ):
        merge_scale_poses(poses, inputs, gap)
