"""Transforms of the symmetric spatial transformer, as pure functions.

Convention:
    A transform ``theta`` is a tensor ``(..., 2, 3)`` that acts on column
    vectors ``(x, y, 1)`` and maps **target to source**: target is the frame
    of the transformed crop, source the frame of the crop that the network
    was given, ``x_s = theta x_t`` (RMPE, eq. 1). Warping an image samples it
    there, ``I_t(x_t) = I_s(theta x_t)``, so the same ``theta`` carries
    *points* from the transformed crop back to the crop.

    Coordinates are normalised with ``align_corners=True``: -1 is the centre
    of pixel 0 and +1 the centre of pixel ``w - 1``. Sizes are ``(w, h)``.
    Pixels outside the source count as zero, or as ``fill``. All arithmetic
    is in float32 at least, also under autocast.

.. _RMPE:
    https://arxiv.org/abs/1612.00137
.. _Spatial Transformer Networks: https://arxiv.org/abs/1506.02025
"""

import torch
from torch import Tensor

from ..tensors import tensor_on_device_of

NUM_PARAMS = {'affine': 6, 'similarity': 4, 'scale_shift': 3}


def as_geometry(tensor: Tensor) -> Tensor:
    """Return the tensor in float32, or in float64 if it is that already."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def identity_params(transform: str) -> Tensor:
    """Return the parameters of the identity for a parameterisation.

    Args:
        transform (str): ``'affine'``, ``'similarity'`` or ``'scale_shift'``.

    Returns:
        Tensor: Parameters ``(P,)`` such that :func:`params_to_theta` gives
        the identity.

    Raises:
        ValueError: If the parameterisation is unknown.
    """
    if transform not in NUM_PARAMS:
        raise ValueError(
            f'unknown transform {transform!r}; choose one of '
            f'{sorted(NUM_PARAMS)}'
        )
    params = torch.zeros(NUM_PARAMS[transform])
    params[0] = 1.0
    if transform == 'affine':
        params[4] = 1.0
    return params


def params_to_theta(
    params: Tensor, transform: str, size: tuple[int, int]
) -> Tensor:
    """Build theta from the regressed parameters.

    - ``'affine'``, 6 parameters: the rows of theta.
    - ``'similarity'``, 4 parameters ``(a, b, tx, ty)``: scale and rotation
      **in pixels**, ``[[a, -b], [b, a]]``, and a shift in normalised units.
      Normalised units of x and y differ in a crop that is not square, so the
      off-diagonal entries carry the ratio ``(w - 1) / (h - 1)``.
    - ``'scale_shift'``, 3 parameters ``(s, tx, ty)``: one scale for both
      axes. A crop of fixed aspect ratio differs from another crop of the
      same image with the same rotation by exactly such a transform.

    Convention:
        See the module: theta maps target to source, in normalised units.

    Args:
        params (Tensor): Parameters ``(..., P)``.
        transform (str): The parameterisation.
        size (tuple[int, int]): Size ``(w, h)`` of the crop in pixels.

    Returns:
        Tensor: theta ``(..., 2, 3)``.

    Raises:
        ValueError: If the number of parameters does not fit.
    """
    expected = identity_params(transform).numel()
    if params.shape[-1] != expected:
        raise ValueError(
            f'transform {transform!r} takes {expected} parameters, got '
            f'{params.shape[-1]}'
        )
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


def determinant(theta: Tensor) -> Tensor:
    """Return the determinant ``(...)`` of the linear part of theta."""
    theta = as_geometry(theta)
    return (
        theta[..., 0, 0] * theta[..., 1, 1]
        - theta[..., 0, 1] * theta[..., 1, 0]
    )


def guard_theta(theta: Tensor, min_det: float = 1e-4) -> tuple[Tensor, Tensor]:
    """Replace transforms that cannot be inverted by the identity.

    Args:
        theta (Tensor): Transforms ``(..., 2, 3)``.
        min_det (float): Smallest determinant, in absolute value, that
            counts as invertible. Defaults to 1e-4.

    Returns:
        tuple[Tensor, Tensor]: The transforms ``(..., 2, 3)``, finite and
        invertible, and a mask ``(...)`` that is true where theta was kept.
        No gradient flows where it was not.
    """
    theta = as_geometry(theta)
    valid = (determinant(theta).abs() >= min_det) & theta.isfinite().all(
        -1
    ).all(-1)
    identity = torch.eye(2, 3, dtype=theta.dtype, device=theta.device)
    # Selecting before any division keeps gradients finite: 0 * inf is NaN.
    theta = torch.where(valid[..., None, None], theta, identity)
    return theta, valid


def invert_theta(
    theta: Tensor, min_det: float = 1e-4
) -> tuple[Tensor, Tensor]:
    """Invert theta in closed form (RMPE, eq. 3): the SDTN's gamma.

    ``[g1 g2] = [th1 th2]^-1`` and ``g3 = -[g1 g2] th3``.

    Convention:
        theta maps target to source, so gamma maps source to target.

    Args:
        theta (Tensor): Transforms ``(..., 2, 3)``.
        min_det (float): Smallest determinant, in absolute value, that
            counts as invertible. Defaults to 1e-4.

    Returns:
        tuple[Tensor, Tensor]: gamma ``(..., 2, 3)``, the identity where
        theta is degenerate, and a mask ``(...)`` that is true where it is
        not.
    """
    theta, valid = guard_theta(theta, min_det)
    (a, b, tx), (c, d, ty) = (row.unbind(-1) for row in theta.unbind(-2))
    det = determinant(theta)
    ia, ib, ic, id_ = d / det, -b / det, -c / det, a / det
    rows = (ia, ib, -(ia * tx + ib * ty), ic, id_, -(ic * tx + id_ * ty))
    return torch.stack(rows, -1).unflatten(-1, (2, 3)), valid


def compose(outer: Tensor, inner: Tensor) -> Tensor:
    """Compose two transforms: ``x -> outer(inner(x))``.

    Convention:
        Of points: inner acts first. Both are in the same units, and leading
        dimensions broadcast.

    Args:
        outer (Tensor): Transform ``(..., 2, 3)``.
        inner (Tensor): Transform ``(..., 2, 3)`` in the same units.

    Returns:
        Tensor: The composed transform ``(..., 2, 3)``.
    """
    outer, inner = as_geometry(outer), as_geometry(inner)
    linear = outer[..., :2]
    # Sums of products, not matmul, which autocast would run in half.
    product = (linear[..., :, :, None] * inner[..., None, :, :]).sum(-2)
    shift = torch.cat((torch.zeros_like(linear), outer[..., 2:]), dim=-1)
    return product + shift


def mirror_theta(theta: Tensor) -> Tensor:
    """Return the transform that does to mirrored crops what theta does.

    With the mirror ``m: x -> -x`` this is ``m theta m``. Mirroring a crop
    and warping it by the result equals warping and then mirroring.

    Convention:
        Normalised units, whose origin is the crop's centre.

    Args:
        theta (Tensor): Transforms ``(..., 2, 3)`` in normalised units.

    Returns:
        Tensor: Mirrored transforms ``(..., 2, 3)``.
    """
    theta = as_geometry(theta)
    signs = tensor_on_device_of([[1.0, -1.0, -1.0], [-1.0, 1.0, 1.0]], theta)
    return theta * signs


def rescale_theta(
    theta: Tensor,
    old_scale: tuple[float, float],
    old_offset: tuple[float, float],
    new_scale: tuple[float, float],
    new_offset: tuple[float, float],
) -> Tensor:
    """Express a transform in other units.

    A point has the coordinate ``u`` in the old units and ``v`` in the new
    ones where ``old_scale * u + old_offset = new_scale * v + new_offset``.

    Args:
        theta (Tensor): Transforms ``(..., 2, 3)`` in the old units.
        old_scale (tuple[float, float]): Scale of x and y.
        old_offset (tuple[float, float]): Offset of x and y.
        new_scale (tuple[float, float]): Scale of x and y.
        new_offset (tuple[float, float]): Offset of x and y.

    Returns:
        Tensor: The same transforms ``(..., 2, 3)`` in the new units.
    """
    theta = as_geometry(theta)
    (ox, oy), (px, py) = old_scale, old_offset
    (nx, ny), (qx, qy) = new_scale, new_offset
    to_old = tensor_on_device_of(
        [[nx / ox, 0, (qx - px) / ox], [0, ny / oy, (qy - py) / oy]], theta
    )
    to_new = tensor_on_device_of(
        [[ox / nx, 0, (px - qx) / nx], [0, oy / ny, (py - qy) / ny]], theta
    )
    return compose(to_new, compose(theta, to_old))


def normalized_to_pixel_theta(theta: Tensor, size: tuple[int, int]) -> Tensor:
    """Express a transform of normalised units in pixels.

    Convention:
        ``align_corners=True``: pixel = (normalised + 1) / 2 * (w - 1).

    Args:
        theta (Tensor): Transforms ``(..., 2, 3)`` in normalised units.
        size (tuple[int, int]): Size ``(w, h)`` of the frame in pixels.

    Returns:
        Tensor: Transforms ``(..., 2, 3)`` of points in pixels.
    """
    half = ((size[0] - 1) / 2, (size[1] - 1) / 2)
    return rescale_theta(theta, half, half, (1.0, 1.0), (0.0, 0.0))


def theta_on_grid(
    theta: Tensor,
    size: tuple[int, int],
    grid_size: tuple[int, int],
    cell_size: tuple[float, float],
    first_cell: tuple[float, float] = (0.0, 0.0),
) -> Tensor:
    """Express a transform of the crop in the normalised units of a map.

    A map of ``W`` cells whose cell ``u`` lies at pixel ``u * cell_size``
    (mmpose's convention, ``cell_size = w / W``) ends at pixel
    ``(W - 1) * cell_size``, which is not ``w - 1``: its normalised units
    are not the crop's. The result is the same transform **in pixels**, so
    warping the map agrees with transforming the coordinates read from it.
    With UDP's ``cell_size = (w - 1) / (W - 1)`` the result is theta itself.

    Args:
        theta (Tensor): Transforms ``(..., 2, 3)`` in the crop's normalised
            units.
        size (tuple[int, int]): Size ``(w, h)`` of the crop in pixels.
        grid_size (tuple[int, int]): Size ``(W, H)`` of the map in cells,
            at least 2 each way.
        cell_size (tuple[float, float]): Pixels from one cell to the next.
        first_cell (tuple[float, float]): The pixel that cell 0 stands for.
            Defaults to (0, 0).

    Returns:
        Tensor: Transforms ``(..., 2, 3)`` in the map's normalised units.
    """
    half = ((size[0] - 1) / 2, (size[1] - 1) / 2)
    half_map = tuple(
        (n - 1) / 2 * c for n, c in zip(grid_size, cell_size, strict=True)
    )
    middle = tuple(h + o for h, o in zip(half_map, first_cell, strict=True))
    return rescale_theta(theta, half, half, half_map, middle)
