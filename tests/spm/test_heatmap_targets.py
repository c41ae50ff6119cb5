import numpy as np

from rmpe_spm.spm.heatmaps import gaussian_maps, heatmap_weights

ONES = np.ones(2)


def test_gaussians_take_the_highest_and_follow_the_metric():
    centers = np.array([[[3.0, 2.0]], [[6.5, 2.0]]])
    maps = gaussian_maps(
        centers, np.ones((2, 1), bool), (12, 5), 4.0, np.array([1.0, 2.0])
    )
    x, y = np.arange(12), np.arange(5)[:, None]
    peaks = [
        np.exp(-((x - cx) ** 2 + 4 * (y - 2.0) ** 2) / 4) for cx in (3.0, 6.5)
    ]
    np.testing.assert_allclose(maps[0], np.maximum(*peaks), atol=1e-7)
    assert maps[0, 2, 3] == 1


def test_gaussians_far_away_are_cut_to_zero():
    maps = gaussian_maps(
        np.array([[[0.0, 0.0], [1e15, np.pi]]]),
        np.array([[True, True]]),
        (64, 64),
        1.0,
        ONES,
    )
    assert maps[0, 63, 63] == 0 and maps[0].max() == 1
    assert (maps[1] == 0).all()


def test_invalid_peaks_are_not_drawn():
    centers = np.full((2, 3, 2), 4.0)
    valid = np.array([[False, True, False]] * 2)
    maps = gaussian_maps(centers, valid, (8, 8), 1.0, ONES)
    assert maps.any(axis=(1, 2)).tolist() == [False, True, False]


def test_weights_of_peaks_background_and_small_persons():
    heatmaps = np.zeros((2, 4, 9), dtype=np.float32)
    heatmaps[0, 1, 2], heatmaps[1, 1, 3] = 1, 0.01
    # of one joint the drawn person is left of the small one, of the other
    # the small one is farther right
    centers = np.array([[[2.0, 1.0], [2, 1]], [[4, 1], [8, 1]]])
    drawn = np.array([[True, True], [False, False]])
    weights = heatmap_weights(
        heatmaps, centers, drawn, ~drawn, 1.0, ONES, background_weight=0.5
    )
    expected = np.full((2, 4, 9), 0.5)
    expected[0, 1, 2] = 1
    # a disc of radius 1, without the cell that the drawn person's has too
    for x, y in [(4, 0), (4, 1), (4, 2), (5, 1)]:
        expected[0, y, x] = 0
    for x, y in [(8, 0), (8, 1), (8, 2), (7, 1)]:
        expected[1, y, x] = 0
    np.testing.assert_array_equal(weights, expected)
    assert weights.dtype == np.float32
