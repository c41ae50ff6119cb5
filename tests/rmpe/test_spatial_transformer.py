"""Points and maps under transforms, by hand."""

import numpy as np
import pytest
import torch

from rmpe_spm.rmpe.spatial_transformer import (
    transform_points,
    warp,
    warp_vectors,
)

EYE = torch.eye(2, 3)


def test_warp_values_by_hand():
    image = torch.arange(5.0).repeat(3, 1)[None, None]
    # Target pixel x samples source pixel x + 1; nothing right of the image.
    theta = torch.tensor([[[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]]])
    out = warp(image, theta)
    torch.testing.assert_close(out[0, 0, 1], torch.tensor([1.0, 2, 3, 4, 0]))
    filled = warp(image, theta, fill=torch.tensor([9.0]))
    torch.testing.assert_close(
        filled[0, 0, 1], torch.tensor([1.0, 2, 3, 4, 9])
    )
    # A quarter pixel is interpolated.
    theta[..., 2] /= 4
    out = warp(image, theta)
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
    out = warp(
        torch.from_numpy(image)[None, None], torch.from_numpy(theta)[None]
    )
    np.testing.assert_allclose(out[0, 0], expected, atol=1e-9)


def test_warp_vectors_by_hand():
    vectors = torch.tensor([[[0.0, 10.0, 20.0, 30.0]]])
    out = warp_vectors(vectors, torch.tensor([1.0]), torch.tensor([0.5]))
    assert out.tolist() == [[[5.0, 15.0, 25.0, 30.0]]]
    out = warp_vectors(vectors, torch.tensor([2.0]), torch.tensor([-1.0]))
    assert out.tolist() == [[[0.0, 10.0, 30.0, 30.0]]]


def test_gradients_of_points_and_warps():
    torch.manual_seed(0)
    theta = torch.eye(2, 3, dtype=torch.float64)[None].repeat(2, 1, 1)
    theta = (theta + torch.rand(2, 2, 3).double() * 0.2).requires_grad_()
    image = torch.rand(2, 2, 5, 4).double().requires_grad_()
    vectors = torch.rand(2, 3, 8).double().requires_grad_()
    points = torch.rand(2, 3, 2).double().requires_grad_()
    check = torch.autograd.gradcheck
    assert check(transform_points, (theta, points))
    assert check(warp, (image, theta))
    assert check(
        lambda v, t: warp_vectors(v, t[:, 0, 0], t[:, 0, 2]),
        (vectors, theta),
    )


def test_warp_gives_back_the_dtype_of_the_images():
    with torch.autocast('cpu', dtype=torch.bfloat16):
        out = warp(torch.rand(1, 1, 4, 4).bfloat16(), EYE[None])
    assert out.dtype == torch.bfloat16


def test_no_images_give_none():
    warped = warp(torch.zeros(0, 3, 4, 5), torch.zeros(0, 2, 3))
    assert warped.shape == (0, 3, 4, 5)
