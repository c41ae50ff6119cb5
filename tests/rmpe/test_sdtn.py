"""The SDTN agrees with moving points, for every kind of output."""

import numpy as np
import pytest
import torch
from mmpose.codecs import (
    IntegralRegressionLabel,
    MegviiHeatmap,
    MSRAHeatmap,
)

from rmpe_spm.rmpe.sdtn import (
    CropFrame,
    sdtn_keypoints,
    sdtn_outputs,
)
from rmpe_spm.rmpe.spatial_transformer import transform_points
from rmpe_spm.rmpe.theta import normalized_to_pixel_theta

SIZE, MAP = (48, 64), (12, 16)
THETA = torch.tensor([[[0.9, 0.1, 0.05], [-0.08, 0.85, -0.1]]])
# SimCC cannot mix the axes.
STRAIGHT = torch.tensor([[[0.9, 0.0, 0.05], [0.0, 0.9, -0.1]]])
POINT = torch.tensor([[20.0, 30.0]])


def moved(theta, point=POINT):
    """The pixel in the crop of a pixel in the STN's frame."""
    return transform_points(
        normalized_to_pixel_theta(theta, SIZE), point[:, None]
    )[:, 0]


def grid():
    y, x = torch.meshgrid(
        torch.arange(16.0), torch.arange(12.0), indexing='ij'
    )
    return x, y


@pytest.mark.parametrize('udp', [False, True])
def test_heatmaps_move_as_points_do(udp):
    frame = CropFrame(SIZE, udp)
    cell = torch.tensor(frame.cell_size(MAP))
    expected_cell = [47 / 11, 63 / 15] if udp else [4, 4]
    assert cell.tolist() == pytest.approx(expected_cell)
    x, y = grid()
    cx, cy = (POINT[0] / cell).tolist()
    heatmap = (-((x - cx) ** 2 + (y - cy) ** 2) / 4).exp()
    out = sdtn_outputs(heatmap[None, None], THETA, frame)[0, 0]
    centre = torch.stack(((out * x).sum(), (out * y).sum())) / out.sum()
    torch.testing.assert_close(
        centre * cell, moved(THETA)[0], atol=0.1, rtol=0
    )


@pytest.mark.parametrize('udp', [False, True])
def test_a_linear_map_is_moved_exactly(udp):
    """The map shows its own pixel, so every cell tells where it is from."""
    frame = CropFrame(SIZE, udp)
    cell = torch.tensor(frame.cell_size(MAP))
    x, y = grid()
    maps = torch.stack((x * cell[0], y * cell[1]))[None]
    out = sdtn_outputs(maps, THETA, frame)
    seen = out[0, :, 8, 6]  # the STN's pixel that cell (6, 8) sampled
    back = moved(THETA, seen[None])
    torch.testing.assert_close(
        back[0], torch.tensor([6.0, 8.0]) * cell, atol=1e-4, rtol=0
    )


def test_cells_that_stand_for_their_middle():
    """MegviiHeatmap: cell u is the pixel (u + 0.5) * stride."""
    codec = MegviiHeatmap(SIZE, MAP, kernel_size=5)
    frame = CropFrame.of_decoder(codec)
    x, y = grid()
    maps = torch.stack(((x + 0.5) * 4, (y + 0.5) * 4))[None]
    seen = sdtn_outputs(maps, THETA, frame)[0, :, 8, 6]
    torch.testing.assert_close(
        moved(THETA, seen[None])[0],
        torch.tensor([26.0, 34.0]),
        atol=1e-4,
        rtol=0,
    )
    plain = CropFrame.of_decoder(MSRAHeatmap(SIZE, MAP, sigma=2))
    assert not torch.allclose(
        sdtn_outputs(maps, THETA, plain)[0, :, 8, 6], seen, atol=0.05
    )


def test_integral_regression():
    """Its coordinates are where its heatmap's mass is, before and after."""
    codec = IntegralRegressionLabel(SIZE, MAP, sigma=2)
    x, y = grid()
    heatmap = torch.exp(-((x - 5) ** 2 + (y - 6) ** 2) / 4)[None, None]

    def expectation(heatmap):
        mass = heatmap / heatmap.sum()
        means = ((mass * x).sum() / MAP[0], (mass * y).sum() / MAP[1])
        return torch.stack(means)[None, None]

    frame = CropFrame.of_decoder(codec)
    assert frame == CropFrame(SIZE)
    outputs = expectation(heatmap), heatmap
    coords, moved_heatmap = sdtn_outputs(outputs, THETA, frame)
    assert abs(coords - outputs[0]).max() > 0.02
    torch.testing.assert_close(
        coords, expectation(moved_heatmap), atol=0.005, rtol=0
    )


def test_codecs_without_a_size_are_told():
    with pytest.raises(ValueError, match='object has none'):
        CropFrame.of_decoder(object())
    with pytest.raises(ValueError, match='it has no decoder'):
        CropFrame.of_decoder(None)


def test_what_was_guarded_is_inverted():
    """No second threshold replaces theta by the identity here."""
    theta = torch.tensor([[[0.005, 0.0, 0.0], [0.0, 0.005, 0.0]]])
    frame = CropFrame(SIZE, udp=True)
    heatmap = torch.zeros(1, 1, 16, 12)
    heatmap[0, 0, 8, 6] = 1.0
    # all of the STN's crop shows less than a cell of the crop's middle
    outputs = sdtn_outputs(heatmap, theta, frame)
    assert not torch.equal(outputs, heatmap)
    assert (outputs > 0).sum() == 0
    # beyond the ends of a SimCC vector its last value goes on
    vectors = torch.rand(1, 2, 96), torch.rand(1, 2, 128)
    for before, after in zip(
        vectors, sdtn_outputs(vectors, theta, frame), strict=True
    ):
        middle = before.shape[-1] // 2
        assert (after[..., : middle - 2] == before[..., :1]).all()
        assert (after[..., middle + 2 :] == before[..., -1:]).all()


def test_offset_maps_turn_with_the_crop():
    frame = CropFrame(SIZE, udp=True, offsets=True)
    cell = torch.tensor(frame.cell_size(MAP))
    x, y = grid()
    target = POINT[0] / cell
    radius = 3.0
    dx, dy = (target[0] - x) / radius, (target[1] - y) / radius
    maps = torch.stack((torch.ones_like(x), dx, dy))[None]
    out = sdtn_outputs(maps, THETA, frame)[0]
    expected = moved(THETA)[0] / cell
    for col, row in ((5, 6), (3, 8), (7, 7)):
        here = torch.tensor([col, row]) + out[1:, row, col] * radius
        torch.testing.assert_close(here, expected, atol=1e-4, rtol=0)


def test_coordinates_move_exactly_and_sigmas_stay():
    coords = torch.tensor([[[20 / 48, 30 / 64, 0.3, 0.4]]])
    out = sdtn_outputs(coords, THETA, CropFrame(SIZE))
    expected = moved(THETA)[0] / torch.tensor([48.0, 64.0])
    torch.testing.assert_close(out[0, 0, :2], expected)
    assert out[0, 0, 2:].tolist() == coords[0, 0, 2:].tolist()


def test_simcc_vectors_move_as_points_do():
    bins = [torch.arange(2.0 * n) for n in SIZE]
    vectors = tuple(
        (-((b - 2 * p) ** 2) / 50).exp()[None, None]
        for b, p in zip(bins, POINT[0], strict=True)
    )
    out = sdtn_outputs(vectors, STRAIGHT, CropFrame(SIZE))
    assert isinstance(out, tuple)
    for axis, expected in enumerate(moved(STRAIGHT)[0].tolist()):
        vector = out[axis][0, 0]
        centre = (vector * bins[axis]).sum() / vector.sum() / 2
        assert centre.item() == pytest.approx(expected, abs=0.02)


def test_nested_outputs_keep_their_form():
    maps = torch.rand(1, 2, 16, 12)
    small = torch.rand(1, 2, 8, 6)
    out = sdtn_outputs([[maps, small], (maps,)], THETA, CropFrame(SIZE))
    assert isinstance(out, list) and isinstance(out[1], tuple)
    expected = sdtn_outputs(maps, THETA, CropFrame(SIZE))
    assert torch.equal(out[0][0], expected)
    assert torch.equal(out[1][0], expected)
    assert out[0][1].shape == small.shape


def test_float32_under_autocast():
    half = dict(dtype=torch.bfloat16)
    outputs = (
        torch.rand(1, 2, 16, 12).to(**half),
        torch.rand(1, 2, 2).to(**half),
        [torch.rand(1, 2, 96).to(**half), torch.rand(1, 2, 128).to(**half)],
    )
    with torch.autocast('cpu', **half):
        maps, coords, vectors = sdtn_outputs(
            outputs, STRAIGHT, CropFrame(SIZE)
        )
    assert {x.dtype for x in (maps, coords, *vectors)} == {torch.float32}
    exact = sdtn_outputs(outputs[1].float(), STRAIGHT, CropFrame(SIZE))
    torch.testing.assert_close(coords, exact)


def test_unknown_outputs_raise():
    frame = CropFrame(SIZE)
    with pytest.raises(TypeError, match=r'Tensor \(1, 5\)'):
        sdtn_outputs(torch.rand(1, 5), THETA, frame)
    with pytest.raises(TypeError, match='dict'):
        sdtn_outputs({}, THETA, frame)


@pytest.mark.parametrize('udp', [False, True])
def test_keypoints_move_exactly(udp):
    scale = np.array([48 / 47, 64 / 63]) if udp else np.ones(2)
    keypoints = (POINT.numpy() * scale)[None].astype(np.float32)
    theta_px = normalized_to_pixel_theta(THETA, SIZE)[0].numpy()
    out = sdtn_keypoints(keypoints, theta_px, CropFrame(SIZE, udp))
    np.testing.assert_allclose(out[0], moved(THETA).numpy() * scale, rtol=1e-5)
    np.testing.assert_allclose(keypoints[0], POINT.numpy() * scale, rtol=1e-6)
