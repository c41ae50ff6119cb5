r"""Transforms of the symmetric spatial transformer, as pure functions.

Convention:
    A transform ``theta`` is a tensor ``(..., 2, 3)`` that acts on column
    vectors ``(x, y, 1)`` and maps **target to source**: target is the frame
    of the transformed crop, source that of the crop that the network was
    given (`RMPE`_, eq. 1):

    .. math:: x^s = [\theta_1\ \theta_2]\, x^t + \theta_3

    Warping an image samples it there, ``I_t(x_t) = I_s(theta x_t)``, so the
    same theta carries *points* from the transformed crop back to the crop.

    Coordinates are normalised with ``align_corners=True``: -1 is the centre
    of pixel 0 and +1 the centre of pixel ``w - 1``. Sizes are ``(w, h)``.
    All arithmetic is in float32 at least, also under autocast.

.. _RMPE: https://arxiv.org/abs/1612.00137
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..tensors import tensor_on_device_of

# The parameters of the identity.
IDENTITY = {
    'affine': (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    'similarity': (1.0, 0.0, 0.0, 0.0),
    'scale_shift': (1.0, 0.0, 0.0),
}

# The smallest determinant, in absolute value, that counts as invertible.
MIN_DET = 1e-4


def as_geometry(tensor: Tensor) -> Tensor:
    """Return the tensor in float32, or in float64 if it is that already."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def identity_params(transform: str) -> Tensor:
    """Return the parameters ``(P,)`` of the identity."""
    if transform not in IDENTITY:
        raise ValueError(
            f'unknown transform {transform!r}; choose one of '
            f'{sorted(IDENTITY)}'
        )
    return torch.tensor(IDENTITY[transform])


def params_to_theta(
    params: Tensor, transform: str, size: tuple[int, int]
) -> Tensor:
    """Build theta ``(..., 2, 3)`` from regressed parameters ``(..., P)``.

    - ``'affine'``, 6 parameters: the rows of theta.
    - ``'similarity'``, 4 parameters ``(a, b, tx, ty)``: scale and rotation
      **in pixels**, ``[[a, -b], [b, a]]``, and a shift in normalised units.
      Those of x and y differ in a crop of a ``size`` (w, h) that is not
      square, so the off-diagonal entries carry ``(w - 1) / (h - 1)``.
    - ``'scale_shift'``, 3 parameters ``(s, tx, ty)``: one scale for both
      axes. A crop of fixed aspect ratio differs from another crop of the
      same image with the same rotation by exactly such a transform.

    Example:
        >>> params = torch.tensor([0.5, 0.2, 0.0])
        >>> params_to_theta(params, 'scale_shift', (192, 256))
        tensor([[0.5000, 0.0000, 0.2000],
                [0.0000, 0.5000, 0.0000]])
    """
    params = as_geometry(params)
    if transform == 'affine':
        return params.unflatten(-1, (2, 3))
    if transform == 'scale_shift':
        s, tx, ty = params.unbind(-1)
        zero = torch.zeros_like(s)
        rows = (s, zero, tx, zero, s, ty)
    else:
        a, b, tx, ty = params.unbind(-1)
        ratio = max(size[0] - 1, 1) / max(size[1] - 1, 1)
        rows = (a, -b / ratio, tx, b * ratio, a, ty)
    return torch.stack(rows, -1).unflatten(-1, (2, 3))


def guard_theta(theta: Tensor) -> tuple[Tensor, Tensor]:
    """Replace transforms that cannot be inverted by the identity.

    Gives finite transforms with a determinant of at least 1e-4 in absolute
    value, and a mask ``(...)`` that is true where theta was kept.
    """
    theta = as_geometry(theta)
    valid = (_determinant(theta).abs() >= MIN_DET) & theta.isfinite().all(
        -1
    ).all(-1)
    identity = torch.eye(2, 3, dtype=theta.dtype, device=theta.device)
    # Selecting before any division keeps gradients finite: 0 * inf is NaN.
    theta = torch.where(valid[..., None, None], theta, identity)
    return theta, valid


def bound_theta(theta: Tensor, max_scale: float, max_shift: float) -> Tensor:
    """Bound the scale and the shift of transforms ``(..., 2, 3)``.

    The scale, the square root of the determinant's absolute value, is kept
    within ``1 / max_scale`` and ``max_scale``, the shift along each axis
    within ``max_shift``, in normalised units: 1 moves the crop's middle to
    its border. What lies within stays as it is. Theta must have passed
    :func:`guard_theta`.

    The gradient of what lies outside is that of the identity where a step
    against it leads back inside, and zero where it leads further out, so that
    a theta neither runs away nor is stuck.

    Example:
        >>> bound_theta(torch.tensor([[4.0, 0, 0.1], [0, 4.0, -3]]), 2, 1)
        tensor([[ 2.0000,  0.0000,  0.1000],
                [ 0.0000,  2.0000, -1.0000]])
    """
    theta = as_geometry(theta)
    scale = _determinant(theta).abs().sqrt()[..., None, None]
    linear = theta[..., :2] / scale * _clamp(scale, 1 / max_scale, max_scale)
    shift = _clamp(theta[..., 2:], -max_shift, max_shift)
    return torch.cat((linear, shift), dim=-1)


def _clamp(values: Tensor, low: float, high: float) -> Tensor:
    if torch.is_grad_enabled() and values.requires_grad:
        return _ClampThatLeadsBack.apply(values, low, high)
    return values.clamp(low, high)


class _ClampThatLeadsBack(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, low: float, high: float) -> Tensor:
        ctx.save_for_backward(values)
        ctx.limits = low, high
        return values.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (values,) = ctx.saved_tensors
        low, high = ctx.limits
        kept = ((values >= low) | (grad < 0)) & ((values <= high) | (grad > 0))
        return grad * kept, None, None


def draw_to_identity(
    theta: Tensor, dead_zone: float, gate: Tensor | float = 1.0
) -> Tensor:
    r"""Draw a scale and a shift to the identity where they are small.

    .. math::
        (s^g, g t), \quad g = g_0 \frac{r^4}{r^4 + r_0^4}, \quad
        r^2 = \log^2 s + \|t\|^2

    A correction that is small against what can be told of a box does more
    harm than good. :math:`r_0` is ``dead_zone``, :math:`g_0` ``gate``.

    Example:
        >>> theta = torch.tensor([[[1.0, 0, 0.5], [0, 1.0, 0]]])
        >>> draw_to_identity(theta, 0.5)
        tensor([[[1.0000, 0.0000, 0.2500],
                 [0.0000, 1.0000, 0.0000]]])
    """
    theta = as_geometry(theta)
    scale, shift = theta[:, 0, 0].log(), theta[..., 2]
    size = scale.square() + shift.square().sum(-1)
    size = size.square()
    gate = gate * size / (size + dead_zone**4 + 1e-18)
    params = torch.stack(((gate * scale).exp(), *(gate * shift.T)), -1)
    return params_to_theta(params, 'scale_shift', (1, 1))


def motion_of(theta: Tensor) -> Tensor:
    r"""Return how the STN's frame moves with theta: the identity, in value.

    .. math:: \theta^{-1} \bar\theta

    with :math:`\bar\theta` theta without gradient. A point of the STN's crop
    shows a place of the network's crop that stays where it is when theta
    changes; in the STN's frame it moves by this transform ``(..., 2, 3)``.
    """
    return compose(invert_theta(theta), theta.detach())


def invert_theta(theta: Tensor) -> Tensor:
    r"""Invert transforms ``(..., 2, 3)`` in closed form: the SDTN's gamma.

    .. math::
        [\gamma_1\ \gamma_2] = [\theta_1\ \theta_2]^{-1}, \quad
        \gamma_3 = -[\gamma_1\ \gamma_2]\, \theta_3

    (RMPE, eq. 3.) Gamma maps source to target. Theta must have passed
    :func:`guard_theta`.

    Example:
        >>> invert_theta(torch.tensor([[0.8, 0, 0.1], [0, 0.8, -0.2]]))
        tensor([[ 1.2500, -0.0000, -0.1250],
                [-0.0000,  1.2500,  0.2500]])
    """
    theta = as_geometry(theta)
    (a, b, tx), (c, d, ty) = (row.unbind(-1) for row in theta.unbind(-2))
    det = _determinant(theta)
    ia, ib, ic, id_ = d / det, -b / det, -c / det, a / det
    rows = (ia, ib, -(ia * tx + ib * ty), ic, id_, -(ic * tx + id_ * ty))
    return torch.stack(rows, -1).unflatten(-1, (2, 3))


def _determinant(theta: Tensor) -> Tensor:
    return (
        theta[..., 0, 0] * theta[..., 1, 1]
        - theta[..., 0, 1] * theta[..., 1, 0]
    )


def compose(outer: Tensor, inner: Tensor) -> Tensor:
    """Compose transforms ``(..., 2, 3)``: ``x -> outer(inner(x))``."""
    outer, inner = as_geometry(outer), as_geometry(inner)
    linear = outer[..., :2]
    # Sums of products, not matmul, which autocast would run in half.
    product = (linear[..., :, :, None] * inner[..., None, :, :]).sum(-2)
    return product + F.pad(outer[..., 2:], (2, 0))


def mirror_theta(theta: Tensor) -> Tensor:
    """Return the transform that does to mirrored crops what theta does.

    With the mirror ``m: x -> -x`` of normalised units it is ``m theta m``.
    """
    theta = as_geometry(theta)
    signs = [[1.0, -1.0, -1.0], [-1.0, 1.0, 1.0]]
    return theta * tensor_on_device_of(signs, theta)


def normalized_to_pixel_theta(theta: Tensor, size: tuple[int, int]) -> Tensor:
    """Express a transform of normalised units in pixels of a size (w, h).

    pixel = (normalised + 1) / 2 * (w - 1), and alike for y.
    """
    half = ((size[0] - 1) / 2, (size[1] - 1) / 2)
    return rescale_theta(theta, (half, half), ((1.0, 1.0), (0.0, 0.0)))


def rescale_theta(
    theta: Tensor, old: tuple[tuple, tuple], new: tuple[tuple, tuple]
) -> Tensor:
    """Express a transform in other units.

    Old and new ones are scale (x, y) and offset (x, y): pixel = scale *
    coordinate + offset.
    """
    theta = as_geometry(theta)
    ((ox, oy), (px, py)), ((nx, ny), (qx, qy)) = old, new
    to_old = [[nx / ox, 0, (qx - px) / ox], [0, ny / oy, (qy - py) / oy]]
    to_new = [[ox / nx, 0, (px - qx) / nx], [0, oy / ny, (py - qy) / ny]]
    inner = compose(theta, tensor_on_device_of(to_old, theta))
    return compose(tensor_on_device_of(to_new, theta), inner)
