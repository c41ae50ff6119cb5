"""The SDTN agrees with moving points, for every kind of output."""

import numpy as np
import pytest
import torch
from mmpose.codecs import (
    IntegralRegressionLabel,
    MegviiHeatmap,
    MSRAHeatmap,
    UDPHeatmap,
)
from mmpose.models.losses import JSDiscretLoss

from rmpe_spm.rmpe.sdtn import CropFrame, sdtn_keypoints, sdtn_outputs
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


@pytest.mark.parametrize(
    ('frame', 'cell', 'first'),
    [
        (CropFrame.of_decoder(MSRAHeatmap(SIZE, MAP, sigma=2)), (4, 4), 0),
        (CropFrame(SIZE, udp=True), (47 / 11, 63 / 15), 0),
        # cell u is the pixel (u + 0.5) * stride
        (CropFrame.of_decoder(MegviiHeatmap(SIZE, MAP, 5)), (4, 4), 2),
    ],
    ids=['msra', 'udp', 'megvii'],
)
def test_a_linear_map_is_moved_exactly(frame, cell, first):
    """The map shows its own pixel, so every cell tells where it is from."""
    assert frame.cell_size(MAP) == pytest.approx(cell)
    x, y = grid()
    maps = torch.stack((x * cell[0] + first, y * cell[1] + first))[None]
    seen = sdtn_outputs(maps, THETA, frame)[..., 8, 6]
    torch.testing.assert_close(
        moved(THETA, seen), maps[..., 8, 6], atol=1e-4, rtol=0
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
    for decoder in (None, object()):
        with pytest.raises(ValueError, match=f'not {decoder}'):
            CropFrame.of_decoder(decoder)


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


@pytest.mark.parametrize(
    'codec',
    [
        UDPHeatmap((192, 256), (48, 64), sigma=2),
        MegviiHeatmap((192, 256), (48, 64), 11),
    ],
)
def test_a_map_with_nothing_above_zero_is_decoded(codec):
    """Beside what the STN saw, where a map is zero, which beats the rest."""
    near = torch.eye(2, 3)[None] * 0.2
    frame = CropFrame.of_decoder(codec)
    maps = sdtn_outputs(torch.full((1, 3, 64, 48), -0.1), near, frame)
    keypoints, scores = codec.decode(maps[0].numpy())
    assert np.isfinite(keypoints).all()
    assert np.isfinite(scores).all()


def test_dsnt_learns_beside_what_the_stn_saw():
    maps = torch.rand(1, 3, 64, 48, requires_grad=True)
    seen = sdtn_outputs(maps, torch.eye(2, 3)[None] * 0.5, CropFrame((48, 64)))
    loss = JSDiscretLoss(use_target_weight=False)
    loss(seen, torch.rand(1, 3, 64, 48)).backward()
    assert maps.grad.isfinite().all() and maps.grad.any()


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
    maps, coords, x, y = (
        torch.rand(1, 2, *size).bfloat16()
        for size in ((16, 12), (2,), (96,), (128,))
    )
    with torch.autocast('cpu', dtype=torch.bfloat16):
        maps, moved, vectors = sdtn_outputs(
            (maps, coords, [x, y]), STRAIGHT, CropFrame(SIZE)
        )
    assert {x.dtype for x in (maps, moved, *vectors)} == {torch.float32}
    exact = sdtn_outputs(coords.float(), STRAIGHT, CropFrame(SIZE))
    torch.testing.assert_close(moved, exact)


@pytest.mark.parametrize(
    ('outputs', 'name'), [(torch.rand(1, 5), r'Tensor \(1, 5\)'), ({}, 'dict')]
)
def test_unknown_outputs_are_refused(outputs, name):
    with pytest.raises(TypeError, match=name):
        sdtn_outputs(outputs, THETA, CropFrame(SIZE))


@pytest.mark.parametrize('udp', [False, True])
def test_keypoints_move_exactly(udp):
    scale = np.array([48 / 47, 64 / 63]) if udp else np.ones(2)
    keypoints = (POINT.numpy() * scale)[None].astype(np.float32)
    theta_px = normalized_to_pixel_theta(THETA, SIZE)[0].numpy()
    out = sdtn_keypoints(keypoints, theta_px, CropFrame(SIZE, udp))
    np.testing.assert_allclose(out[0], moved(THETA).numpy() * scale, rtol=1e-5)
    np.testing.assert_allclose(keypoints[0], POINT.numpy() * scale, rtol=1e-6)
