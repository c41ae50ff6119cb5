import pytest
import torch
import torch.nn.functional as F

from rmpe_spm.spm.peaks import find_joint_peaks, find_peaks, snap_to_peaks


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_equal_cells_take_no_place_of_other_peaks(dtype):
    """Peaks halfway between cells, as many as may be found, and a plateau."""
    maps = torch.zeros(1, 40, 60, dtype=dtype)
    places = [(4 + 8 * i, 4 + 9 * j) for i in range(4) for j in range(6)]
    for index, (y, x) in enumerate(places):
        maps[0, y : y + 2, x : x + 2] = 0.9 - index / 100
    maps[0, 33:40, 50:58] = 1
    scores, cells = find_peaks(maps, 5, len(places) + 1)
    expected = [33 * 60 + 50, *(y * 60 + x for y, x in places)]
    assert sorted(cells[0].tolist()) == sorted(expected)
    assert cells[0, 0] == expected[0] and (scores > 0).all()
    assert torch.equal(scores, maps.flatten(1).gather(1, cells))


@pytest.mark.parametrize('nms_kernel', [1, 3, 5, 9, 11])
@pytest.mark.parametrize('size', [(1, 1), (3, 20), (20, 3), (24, 40)])
def test_peaks_are_those_of_max_pooling(nms_kernel, size):
    """Of distinct values, on several maps at once, which stay as they are."""
    generator = torch.Generator().manual_seed(nms_kernel)
    maps = torch.rand(3, *size, generator=generator)
    # also a batch and maps that are not contiguous
    for part in (maps, maps[::2], maps.transpose(1, 2)):
        before = part.clone()
        pooled = F.max_pool2d(part, nms_kernel, 1, nms_kernel // 2)
        expected = torch.where(pooled == part, part, 0).flatten(1)
        count = min(30, expected.shape[1])
        expected = expected.sort(dim=1, descending=True)[0][:, :count]
        scores, cells = find_peaks(part, nms_kernel, 30)
        assert torch.equal(part, before)
        assert torch.equal(scores, expected)
        found = part.flatten(1).gather(1, cells)
        assert torch.equal(torch.where(scores > 0, found, 0), scores)


@pytest.mark.parametrize(
    ('max_distance', 'score_thr', 'expected'),
    [
        (3.0, 0.1, [5.25, 4.0]),  # the peak at (5, 4), a bit to the right
        (1.0, 0.1, [7.0, 4.0]),  # out of reach
        (3.0, 0.6, [7.0, 4.0]),  # too weak
    ],
)
def test_snapping(max_distance, score_thr, expected):
    heatmaps = torch.zeros(1, 2, 10, 12)
    heatmaps[0, 0, 4, 4:7] = torch.tensor([0.2, 0.5, 0.3])
    heatmaps[0, 1, 4, 7] = 1  # another joint's peak attracts nothing
    keypoints = torch.tensor([[[[7.0, 4.0], [0.0, 9.0]]]])
    peaks = find_joint_peaks(heatmaps, score_thr, 3)
    snapped = snap_to_peaks(keypoints, peaks, torch.tensor([[max_distance]]))
    assert snapped[0, 0, 0].tolist() == expected
    assert snapped[0, 0, 1].tolist() == [0, 9]


def test_offsets_refine_peaks():
    heatmaps, offsets = torch.zeros(1, 2, 6, 8), torch.rand(1, 4, 6, 8)
    heatmaps[0, 1, 3, 5] = 0.5
    offsets[0, 2:, 3, 5] = torch.tensor([0.375, -1.5])
    peaks = find_joint_peaks(heatmaps, 0.1, 3, offsets)
    assert peaks[0, 1, 0].tolist() == [5.375, 1.5, 0.5]
    assert peaks[0, 0, :, :2].isinf().all()


@pytest.mark.parametrize(
    ('to', 'reach', 'expected'),
    [
        ('nearest', 9.0, [3, 9]),
        # 0.9 exp(-4^2 / (2 4^2)) beats 0.5 exp(-2^2 / (2 4^2))
        ('best', 4.0, [9, 9]),
        ('best', 2.0, [3, 9]),
        ('best', 0.01, [5, 8]),  # too far away to weigh anything
    ],
)
def test_each_candidate_snaps_to_its_nearest_or_best_peak(to, reach, expected):
    heatmaps = torch.zeros(1, 1, 9, 20)
    heatmaps[0, 0, 4, 3], heatmaps[0, 0, 4, 9] = 0.5, 0.9
    peaks = find_joint_peaks(heatmaps, 0.1, 3)
    assert peaks.shape == (1, 1, 40, 3)
    keypoints = torch.tensor([[[[5.0, 4.0]], [[8.0, 4.0]]]])
    reach = torch.full((1, 2), reach)
    snapped = snap_to_peaks(keypoints, peaks, reach, to)
    assert snapped[0, :, 0].tolist() == [[x, 4] for x in expected]
