"""Values, inverses and gradients of transforms."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rmpe_spm.rmpe.spatial_transformer import transform_points, warp
from rmpe_spm.rmpe.theta import (
    compose,
    identity_params,
    invert_theta,
    mirror_theta,
    normalized_to_pixel_theta,
    params_to_theta,
    theta_on_grid,
)

EYE = torch.eye(2, 3)


def test_inverse_of_the_reference_vector():
    theta = torch.tensor([[0.8, 0.0, 0.1], [0.0, 0.8, -0.2]])
    gamma, valid = invert_theta(theta)
    expected = torch.tensor([[1.25, 0.0, -0.125], [0.0, 1.25, 0.25]])
    torch.testing.assert_close(gamma, expected)
    assert bool(valid)


def test_inverse_of_a_shear_by_hand():
    theta = torch.tensor([[1.0, 2.0, 3.0], [0.5, 2.0, -1.0]])
    # [[1, 2], [.5, 2]]^-1 = [[2, -2], [-.5, 1]]; -g (3, -1) = (-8, 2.5)
    gamma, _ = invert_theta(theta)
    expected = torch.tensor([[2.0, -2.0, -8.0], [-0.5, 1.0, 2.5]])
    torch.testing.assert_close(gamma, expected)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-0.3, 0.3), min_size=6, max_size=6),
    st.lists(st.floats(-1, 1), min_size=2, max_size=2),
)
def test_there_and_back(noise, point):
    theta = EYE[None] + torch.tensor(noise).reshape(1, 2, 3)
    gamma, valid = invert_theta(theta)
    assert bool(valid.all())
    points = torch.tensor([[point]])
    back = transform_points(theta, transform_points(gamma, points))
    assert (back - points).abs().max() < 1e-5
    identity = compose(theta, gamma)
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
    gamma, valid = invert_theta(theta)
    assert valid.tolist() == [False, True]
    torch.testing.assert_close(gamma[0], EYE)
    gamma.sum().backward()
    assert theta.grad.isfinite().all()
    assert (theta.grad[0] == 0).all() and (theta.grad[1] != 0).any()


def test_params_to_theta_by_hand():
    def theta(params, transform):
        params = torch.tensor(params)
        return params_to_theta(params, transform, (49, 65)).tolist()

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
    params = identity_params(transform)
    theta = params_to_theta(params, transform, (48, 64))
    torch.testing.assert_close(theta, EYE)


def test_bad_params_raise():
    with pytest.raises(ValueError, match='unknown transform'):
        identity_params('homography')
    with pytest.raises(ValueError, match='takes 4 parameters, got 6'):
        params_to_theta(torch.zeros(6), 'similarity', (4, 4))


def test_pixels_follow_align_corners():
    # 5 pixels: the normalised shift of 0.5 is one pixel.
    theta = torch.tensor([[[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]]])
    pixel = normalized_to_pixel_theta(theta, (5, 3))
    torch.testing.assert_close(
        pixel, torch.tensor([[[1.0, 0, 1], [0, 1.0, 0]]])
    )
    # Halving about the centre, pixel 2: 0 -> 1, 4 -> 3.
    theta = torch.tensor([[[0.5, 0.0, 0.0], [0.0, 0.5, 0.0]]])
    pixel = normalized_to_pixel_theta(theta, (5, 5))
    ends = transform_points(pixel, torch.tensor([[[0.0, 4.0]]]))
    torch.testing.assert_close(ends, torch.tensor([[[1.0, 3.0]]]))


def test_theta_on_grid_agrees_with_pixels():
    theta = EYE[None] + torch.rand(1, 2, 3) * 0.2 - 0.1
    size, grid = (48, 64), (12, 16)
    pixel = normalized_to_pixel_theta(theta, size)
    on_grid = theta_on_grid(theta, size, grid, (4.0, 4.0))
    cell = normalized_to_pixel_theta(on_grid, grid)
    u = torch.tensor([[[3.0, 7.0], [0.0, 11.0]]])
    torch.testing.assert_close(
        transform_points(cell, u) * 4,
        transform_points(pixel, u * 4),
    )
    udp = theta_on_grid(theta, size, grid, (47 / 11, 63 / 15))
    torch.testing.assert_close(udp, theta)


def test_mirrored_theta_commutes_with_the_mirror():
    image = torch.rand(2, 3, 9, 7)
    theta = EYE + torch.rand(2, 2, 3) * 0.4 - 0.2
    mirrored = warp(image.flip(-1), mirror_theta(theta))
    torch.testing.assert_close(
        mirrored.flip(-1), warp(image, theta), atol=1e-5, rtol=0
    )


def test_gradients():
    torch.manual_seed(0)
    theta = torch.eye(2, 3, dtype=torch.float64)[None].repeat(2, 1, 1)
    theta = (theta + torch.rand(2, 2, 3).double() * 0.2).requires_grad_()
    check = torch.autograd.gradcheck
    assert check(lambda t: invert_theta(t)[0], theta)
    assert check(compose, (theta, theta.detach() * 2))
    params = torch.rand(2, 4).double().requires_grad_()
    assert check(lambda p: params_to_theta(p, 'similarity', (5, 9)), params)


def test_float32_under_autocast():
    theta = EYE[None] * 1.001
    with torch.autocast('cpu', dtype=torch.bfloat16):
        gamma, _ = invert_theta(theta)
        product = compose(theta.bfloat16(), theta)
    assert gamma.dtype == product.dtype == torch.float32
    assert gamma[0, 0, 0].item() == pytest.approx(1 / 1.001, rel=1e-6)
