"""Transforms, points and maps under them, and the loss on them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.nn import functional

from rmpe_spm.rmpe.spatial_transformer import (
    ThetaCornerLoss,
    sampling_grid,
    transform_points,
    warp,
    warp_vectors,
)
from rmpe_spm.rmpe.theta import (
    bound_theta,
    compose,
    guard_theta,
    invert_theta,
    mirror_theta,
    normalized_to_pixel_theta,
    params_to_theta,
)

EYE = torch.eye(2, 3)


def scaled(scale_x, x, scale_y, y):
    return torch.tensor([[[scale_x, 0, x], [0, scale_y, y]]])


@pytest.mark.parametrize(
    ('theta', 'gamma'),
    [
        (
            [[0.8, 0, 0.1], [0, 0.8, -0.2]],
            [[1.25, 0, -0.125], [0, 1.25, 0.25]],
        ),
        # [[1, 2], [.5, 2]]^-1 = [[2, -2], [-.5, 1]]; -g (3, -1) = (-8, 2.5)
        ([[1.0, 2, 3], [0.5, 2, -1]], [[2.0, -2, -8], [-0.5, 1, 2.5]]),
    ],
)
def test_inverse_by_hand(theta, gamma):
    torch.testing.assert_close(
        invert_theta(torch.tensor(theta)), torch.tensor(gamma)
    )


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-0.3, 0.3), min_size=6, max_size=6),
    st.lists(st.floats(-1, 1), min_size=2, max_size=2),
)
def test_there_and_back(noise, point):
    theta = EYE[None] + torch.tensor(noise).reshape(1, 2, 3)
    gamma = invert_theta(theta)
    points = torch.tensor([[point]])
    back = transform_points(theta, transform_points(gamma, points))
    assert (back - points).abs().max() < 1e-5
    assert (compose(theta, gamma) - EYE).abs().max() < 1e-5


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
    guarded, valid = guard_theta(theta)
    assert valid.tolist() == [False, True]
    torch.testing.assert_close(guarded, torch.stack((EYE, good)))
    invert_theta(guarded).sum().backward()
    assert theta.grad.isfinite().all()
    assert (theta.grad[0] == 0).all() and (theta.grad[1] != 0).any()


def test_bounds_by_hand():
    theta = [
        [[3.0, 0, 0.5], [0, 3.0, -1.5]],
        [[0.15, -0.2, 0], [0.2, 0.15, 0]],
        [[0.8, 0.1, 0.9], [0, 1.1, -0.2]],
    ]
    expected = [
        [[2, 0, 0.5], [0, 2, -1]],
        [[0.3, -0.4, 0], [0.4, 0.3, 0]],  # a scale of 1/4 becomes 1/2
        theta[2],
    ]
    bounded = bound_theta(torch.tensor(theta), 2.0, 1.0)
    torch.testing.assert_close(bounded, torch.tensor(expected))
    inside = torch.tensor(theta[2])
    torch.testing.assert_close(bounded[2], inside, rtol=0, atol=1e-7)


def test_the_gradient_beyond_a_bound_leads_back():
    theta = scaled(3, 1.5, 3, -1.5).requires_grad_()
    out = bound_theta(theta, 2.0, 1.0)
    # a step against it: the scale grows, x falls, y falls further
    loss = -out[0, 0, 0] + out[0, 0, 2] + out[0, 1, 2]
    (grad,) = torch.autograd.grad(loss, theta)
    assert grad[0, :, 2].tolist() == [1, 0]
    (grad,) = torch.autograd.grad(bound_theta(theta, 2.0, 1.0).sum(), theta)
    assert grad[0, 0, 0] > 0
    inside = scaled(1.2, 0.3, 1.1, -0.4).double().requires_grad_()
    assert gradcheck(lambda t: bound_theta(t, 2.0, 1.0), inside)


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


def test_pixels_follow_align_corners():
    # 5 pixels: the normalised shift of 0.5 is one pixel.
    pixel = normalized_to_pixel_theta(scaled(1.0, 0.5, 1.0, 0.0), (5, 3))
    torch.testing.assert_close(pixel, scaled(1.0, 1.0, 1.0, 0.0))
    # Halving about the centre, pixel 2: 0 -> 1, 4 -> 3.
    pixel = normalized_to_pixel_theta(scaled(0.5, 0.0, 0.5, 0.0), (5, 5))
    ends = transform_points(pixel, torch.tensor([[[0.0, 4.0]]]))
    torch.testing.assert_close(ends, torch.tensor([[[1.0, 3.0]]]))
    # 48x64 pixels: half a unit is 11.75 and 15.75 pixels.
    pixel = normalized_to_pixel_theta(scaled(0.8, 0.1, 0.8, -0.2), (48, 64))
    torch.testing.assert_close(
        pixel, scaled(0.8, 7.05, 0.8, 0.0), atol=1e-5, rtol=1e-5
    )


def test_mirrored_theta_commutes_with_the_mirror():
    image = torch.rand(2, 3, 9, 7)
    theta = EYE + torch.rand(2, 2, 3) * 0.4 - 0.2
    mirrored = warp(image.flip(-1), mirror_theta(theta))
    torch.testing.assert_close(
        mirrored.flip(-1), warp(image, theta), atol=1e-5, rtol=0
    )


def test_warp_values_by_hand():
    image = torch.arange(5.0).repeat(3, 1)[None, None]
    # Target pixel x samples source pixel x + 1; nothing right of the image.
    theta = scaled(1.0, 0.5, 1.0, 0.0)
    assert warp(image, theta)[0, 0, 1].tolist() == [1, 2, 3, 4, 0]
    filled = warp(image, theta, fill=torch.tensor([9.0]))
    assert filled[0, 0, 1].tolist() == [1, 2, 3, 4, 9]
    # A quarter pixel is interpolated.
    theta[..., 2] /= 4
    out = warp(image, theta)
    assert out[0, 0, 1, :4].tolist() == pytest.approx([0.25, 1.25, 2.25, 3.25])
    empty = warp(torch.zeros(0, 3, 4, 5), torch.zeros(0, 2, 3))
    assert empty.shape == (0, 3, 4, 5)


def test_warp_vectors_by_hand():
    vectors = torch.tensor([[[0.0, 10.0, 20.0, 30.0]]])
    out = warp_vectors(vectors, torch.tensor([1.0]), torch.tensor([0.5]))
    assert out.tolist() == [[[5.0, 15.0, 25.0, 30.0]]]
    out = warp_vectors(vectors, torch.tensor([2.0]), torch.tensor([-1.0]))
    assert out.tolist() == [[[0.0, 10.0, 30.0, 30.0]]]


def test_gradients():
    """The others' are those of SSTNHead's whole path."""
    torch.manual_seed(0)

    def random(*shape):
        return torch.rand(*shape, dtype=torch.float64).requires_grad_()

    target = EYE.double().expand(2, 2, 3)
    assert gradcheck(ThetaCornerLoss(), (random(2, 2, 3), target))
    assert gradcheck(
        lambda p: params_to_theta(p, 'similarity', (5, 9)), random(2, 4)
    )


@pytest.mark.filterwarnings('ignore:Since version 1.3.0')
@pytest.mark.parametrize('size', [(7, 5), (1, 4), (48, 64)])
def test_the_grid_of_samples_is_pytorchs(size):
    theta = torch.eye(2, 3).double() + torch.randn(3, 2, 3) * 0.2
    theta.requires_grad_()
    shape = (3, 1, *size[::-1])
    grids = (
        sampling_grid(theta, size),
        functional.affine_grid(theta, shape, align_corners=True),
    )
    torch.testing.assert_close(*grids)
    weights = torch.randn_like(grids[0])
    gradients = [
        torch.autograd.grad((grid * weights).sum(), theta)[0] for grid in grids
    ]
    torch.testing.assert_close(*gradients)


def test_float32_under_autocast():
    theta = EYE[None] * 1.001
    with torch.autocast('cpu', dtype=torch.bfloat16):
        gamma = invert_theta(theta)
        product = compose(theta.bfloat16(), theta)
        # images keep their dtype
        out = warp(torch.rand(1, 1, 4, 4).bfloat16(), EYE[None])
    assert gamma.dtype == product.dtype == torch.float32
    assert gamma[0, 0, 0].item() == pytest.approx(1 / 1.001, rel=1e-6)
    assert out.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ('other', 'expected'),
    [
        # every corner 0.3 too far right, none too far down: (0.3 - 0.05) / 2
        (scaled(1.0, 0.3, 1.0, 0.0), 0.125),
        # ... and within the quadratic part: 0.06^2 / 0.2 / 2
        (scaled(1.0, 0.06, 1.0, 0.0), 0.009),
        # every corner 0.4 too far out, both ways
        (scaled(1.4, 0.0, 1.4, 0.0), 0.35),
        # the right corners lie 0.5 off in x, the left ones 0.1
        (scaled(1.2, 0.3, 1.0, 0.0), (0.45 + 0.05) / 4),
    ],
)
def test_corner_loss_by_hand(other, expected):
    loss = ThetaCornerLoss(smooth=0.1)
    assert loss(other, EYE[None]).item() == pytest.approx(expected, rel=1e-5)
    assert loss(EYE[None], other).item() == pytest.approx(expected, rel=1e-5)
    assert loss(other, other).item() == 0
    # the mean over the batch, and its weight
    loss = ThetaCornerLoss(smooth=0.1, loss_weight=4.0)
    value = loss(torch.cat((other, EYE[None])), EYE.expand(2, 2, 3))
    assert value.item() == pytest.approx(4 * expected / 2, rel=1e-5)
