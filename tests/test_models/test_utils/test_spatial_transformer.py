"""Values, inverses and gradients of the transformer's geometry."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rmpe_spm.models.utils import spatial_transformer as geo

EYE = torch.eye(2, 3)


def test_inverse_of_the_reference_vector():
    theta = torch.tensor([[0.8, 0.0, 0.1], [0.0, 0.8, -0.2]])
    gamma, valid = geo.invert_theta(theta)
    expected = torch.tensor([[1.25, 0.0, -0.125], [0.0, 1.25, 0.25]])
    torch.testing.assert_close(gamma, expected)
    assert bool(valid)


def test_inverse_of_a_shear_by_hand():
    theta = torch.tensor([[1.0, 2.0, 3.0], [0.5, 2.0, -1.0]])
    # [[1, 2], [.5, 2]]^-1 = [[2, -2], [-.5, 1]]; -g (3, -1) = (-8, 2.5)
    gamma, _ = geo.invert_theta(theta)
    expected = torch.tensor([[2.0, -2.0, -8.0], [-0.5, 1.0, 2.5]])
    torch.testing.assert_close(gamma, expected)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-0.3, 0.3), min_size=6, max_size=6),
    st.lists(st.floats(-1, 1), min_size=2, max_size=2),
)
def test_there_and_back(noise, point):
    theta = EYE[None] + torch.tensor(noise).reshape(1, 2, 3)
    gamma, valid = geo.invert_theta(theta)
    assert bool(valid.all())
    points = torch.tensor([[point]])
    back = geo.transform_points(theta, geo.transform_points(gamma, points))
    assert (back - points).abs().max() < 1e-5
    identity = geo.compose(theta, gamma)
    assert (identity - EYE).abs().max() < 1e-5


@pytest.mark.parametrize(
    'bad',
    [
        [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0]],
        [[float('nan'), 0.0, 0.0], [0.0, 1.0, 0.0]],
        [[1.0, 0.0, float('inf')], [0.0, 1.0, 0.0]],
    ],
)
def test_degenerate_theta_is_the_identity(bad):
    good = torch.tensor([[0.5, 0.0, 0.1], [0.0, 0.5, 0.0]])
    theta = torch.stack((torch.tensor(bad), good)).requires_grad_()
    gamma, valid = geo.invert_theta(theta)
    assert valid.tolist() == [False, True]
    torch.testing.assert_close(gamma[0], EYE)
    gamma.sum().backward()
    assert theta.grad.isfinite().all()
    assert (theta.grad[0] == 0).all() and (theta.grad[1] != 0).any()


def test_params_to_theta_by_hand():
    def theta(params, transform):
        params = torch.tensor(params)
        return geo.params_to_theta(params, transform, (49, 65)).tolist()

    assert theta([1.0, 2, 3, 4, 5, 6], 'affine') == [[1, 2, 3], [4, 5, 6]]
    assert theta([2.0, 3, 4], 'scale_shift') == [[2, 0, 3], [0, 2, 4]]
    # (w - 1) / (h - 1) = 3/4: a quarter turn takes the pixel offset (24, 0)
    # from the centre, x = 1, to the offset (0, 24), y = 3/4.
    quarter = theta([0.0, 1, 0, 0], 'similarity')
    np.testing.assert_allclose(
        quarter, [[0, -4 / 3, 0], [3 / 4, 0, 0]], rtol=1e-6
    )


@pytest.mark.parametrize('transform', ['affine', 'similarity', 'scale_shift'])
def test_identity_params(transform):
    params = geo.identity_params(transform)
    theta = geo.params_to_theta(params, transform, (48, 64))
    torch.testing.assert_close(theta, EYE)


def test_bad_params_raise():
    with pytest.raises(ValueError, match='unknown transform'):
        geo.identity_params('homography')
    with pytest.raises(ValueError, match='takes 4 parameters, got 6'):
        geo.params_to_theta(torch.zeros(6), 'similarity', (4, 4))


def test_pixels_follow_align_corners():
    # 5 pixels: the normalised shift of 0.5 is one pixel.
    theta = torch.tensor([[[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]]])
    pixel = geo.normalized_to_pixel_theta(theta, (5, 3))
    torch.testing.assert_close(
        pixel, torch.tensor([[[1.0, 0, 1], [0, 1.0, 0]]])
    )
    # Halving about the centre, pixel 2: 0 -> 1, 4 -> 3.
    theta = torch.tensor([[[0.5, 0.0, 0.0], [0.0, 0.5, 0.0]]])
    pixel = geo.normalized_to_pixel_theta(theta, (5, 5))
    ends = geo.transform_points(pixel, torch.tensor([[[0.0, 4.0]]]))
    torch.testing.assert_close(ends, torch.tensor([[[1.0, 3.0]]]))


def test_warp_values_by_hand():
    image = torch.arange(5.0).repeat(3, 1)[None, None]
    # Target pixel x samples source pixel x + 1; nothing right of the image.
    theta = torch.tensor([[[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]]])
    out = geo.warp(image, theta)
    torch.testing.assert_close(out[0, 0, 1], torch.tensor([1.0, 2, 3, 4, 0]))
    filled = geo.warp(image, theta, fill=torch.tensor([9.0]))
    torch.testing.assert_close(
        filled[0, 0, 1], torch.tensor([1.0, 2, 3, 4, 9])
    )
    # A quarter pixel is interpolated.
    theta[..., 2] /= 4
    out = geo.warp(image, theta)
    assert out[0, 0, 1, :4].tolist() == pytest.approx([0.25, 1.25, 2.25, 3.25])


def test_warp_against_a_loop():
    rng = np.random.default_rng(0)
    image = rng.random((7, 6))
    theta = np.array([[0.9, 0.2, 0.1], [-0.1, 1.1, -0.2]])
    expected = np.zeros_like(image)
    for row in range(7):
        for col in range(6):
            x, y = theta @ [col / 5 * 2 - 1, row / 6 * 2 - 1, 1]
            x, y = (x + 1) / 2 * 5, (y + 1) / 2 * 6
            for r in range(7):
                for c in range(6):
                    weight = max(0, 1 - abs(x - c)) * max(0, 1 - abs(y - r))
                    expected[row, col] += weight * image[r, c]
    out = geo.warp(
        torch.from_numpy(image)[None, None], torch.from_numpy(theta)[None]
    )
    np.testing.assert_allclose(out[0, 0], expected, atol=1e-9)


def test_theta_on_grid_agrees_with_pixels():
    theta = EYE[None] + torch.rand(1, 2, 3) * 0.2 - 0.1
    size, grid = (48, 64), (12, 16)
    pixel = geo.normalized_to_pixel_theta(theta, size)
    on_grid = geo.theta_on_grid(theta, size, grid, (4.0, 4.0))
    cell = geo.normalized_to_pixel_theta(on_grid, grid)
    u = torch.tensor([[[3.0, 7.0], [0.0, 11.0]]])
    torch.testing.assert_close(
        geo.transform_points(cell, u) * 4,
        geo.transform_points(pixel, u * 4),
    )
    udp = geo.theta_on_grid(theta, size, grid, (47 / 11, 63 / 15))
    torch.testing.assert_close(udp, theta)


def test_mirrored_theta_commutes_with_the_mirror():
    image = torch.rand(2, 3, 9, 7)
    theta = EYE + torch.rand(2, 2, 3) * 0.4 - 0.2
    mirrored = geo.warp(image.flip(-1), geo.mirror_theta(theta))
    torch.testing.assert_close(
        mirrored.flip(-1), geo.warp(image, theta), atol=1e-5, rtol=0
    )


def test_warp_vectors_by_hand():
    vectors = torch.tensor([[[0.0, 10.0, 20.0, 30.0]]])
    out = geo.warp_vectors(vectors, torch.tensor([1.0]), torch.tensor([0.5]))
    assert out.tolist() == [[[5.0, 15.0, 25.0, 30.0]]]
    out = geo.warp_vectors(vectors, torch.tensor([2.0]), torch.tensor([-1.0]))
    assert out.tolist() == [[[0.0, 10.0, 30.0, 30.0]]]


def test_gradients():
    torch.manual_seed(0)
    theta = torch.eye(2, 3, dtype=torch.float64)[None].repeat(2, 1, 1)
    theta = (theta + torch.rand(2, 2, 3).double() * 0.2).requires_grad_()
    image = torch.rand(2, 2, 5, 4).double().requires_grad_()
    vectors = torch.rand(2, 3, 8).double().requires_grad_()
    points = torch.rand(2, 3, 2).double().requires_grad_()
    check = torch.autograd.gradcheck
    assert check(lambda t: geo.invert_theta(t)[0], theta)
    assert check(geo.compose, (theta, theta.detach() * 2))
    assert check(geo.transform_points, (theta, points))
    assert check(geo.warp, (image, theta))
    assert check(
        lambda v, t: geo.warp_vectors(v, t[:, 0, 0], t[:, 0, 2]),
        (vectors, theta),
    )
    params = torch.rand(2, 4).double().requires_grad_()
    assert check(
        lambda p: geo.params_to_theta(p, 'similarity', (5, 9)), params
    )


def test_float32_under_autocast():
    theta = EYE[None] * 1.001
    with torch.autocast('cpu', dtype=torch.bfloat16):
        gamma, _ = geo.invert_theta(theta)
        product = geo.compose(theta.bfloat16(), theta)
        out = geo.warp(torch.rand(1, 1, 4, 4).bfloat16(), theta)
    assert gamma.dtype == product.dtype == torch.float32
    assert gamma[0, 0, 0].item() == pytest.approx(1 / 1.001, rel=1e-6)
    assert out.dtype == torch.bfloat16
