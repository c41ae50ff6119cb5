"""Let mmpose and mmdet run where mmcv has no compiled operators.

:func:`import_mmcv_ops` puts :data:`OPERATORS` in the place of mmcv's compiled
extension: what mmdet's detectors call when they predict, in plain PyTorch.
"""

import importlib
import importlib.util
import sys
import warnings
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.modules.utils import _pair

from ..tensors import without_autocast

EXTENSION = 'mmcv._ext'

NMS_BLOCK = 512
"""Boxes whose overlaps with all others are computed at once."""


def nms(
    bboxes_xyxy: Tensor, scores: Tensor, iou_threshold: float, offset: int = 0
) -> Tensor:
    """Keep the best boxes (N, 4) that don't overlap beyond the threshold.

    Returns their indices, best first. Boxes are wider and higher than the
    difference of their corners by ``offset``.
    """
    # step by step: a GPU would wait for each
    boxes = bboxes_xyxy.detach().cpu()
    order = scores.detach().cpu().argsort(descending=True)
    kept = [order[:0]]
    while len(order):
        block = order[:NMS_BLOCK]
        too_near = _iou(boxes[block], boxes[order], offset) > iou_threshold
        inside = too_near[:, : len(block)].triu(1)
        active, before = inside.new_ones(len(block)), None
        # the greedy choice is the one that this doesn't change
        while before is None or not torch.equal(active, before):
            before, active = active, ~(inside & active[:, None]).any(0)
        kept.append(block[active])
        order = order[NMS_BLOCK:]
        order = order[~too_near[active, NMS_BLOCK:].any(0)]
    return torch.cat(kept).to(bboxes_xyxy.device)


def _iou(one: Tensor, two: Tensor, offset: int) -> Tensor:
    """Return the overlap of each pair, NaN for two empty boxes."""
    left, top, right, bottom = one.T[:, :, None]
    lefts, tops, rights, bottoms = two.T
    width = torch.minimum(right, rights) - torch.maximum(left, lefts) + offset
    height = torch.minimum(bottom, bottoms) - torch.maximum(top, tops) + offset
    shared = width.clamp_(min=0) * height.clamp_(min=0)
    area = (right - left + offset) * (bottom - top + offset)
    areas = (rights - lefts + offset) * (bottoms - tops + offset)
    return shared / (area + areas - shared)


def roi_align(
    inputs: Tensor,
    rois: Tensor,
    output_size: tuple[int, int],
    spatial_scale: float = 1.0,
    sampling_ratio: int = 0,
    aligned: bool = True,
) -> Tensor:
    r"""Pool each region of a feature map to a fixed size.

    A bin is the mean of the map at regular places in it, bilinear between
    cells. The places form a lattice, so that with the weights :math:`A` of an
    axis, (bins, cells), the output is :math:`A_y X A_x^\top`. Arguments are
    those of ``mmcv.ops.roi_align``.

    Source: He et al., "Mask R-CNN", ICCV 2017.
    """
    height, width = inputs.shape[2:]
    outputs = inputs.new_zeros(len(rois), inputs.shape[1], *output_size)
    # half precision would round places by parts of a cell
    corners = rois[:, 1:].to(_at_least_float(rois)) * spatial_scale
    starts, ends = (corners - 0.5 * aligned).split(2, 1)
    sizes = ends - starts
    if not aligned:
        sizes = sizes.clamp(min=1)
    bins = sizes.new_tensor(output_size[::-1])
    counts = (sizes / bins).ceil()
    if sampling_ratio > 0:
        counts = torch.full_like(counts, sampling_ratio)
    for output, image, (x, y), (w, h), (columns, rows) in zip(
        outputs,
        rois[:, 0].long().tolist(),
        starts,
        sizes,
        counts.long().tolist(),
        strict=True,
    ):
        along_y = _bin_weights(y, h, output_size[0], rows, height)
        along_x = _bin_weights(x, w, output_size[1], columns, width)
        # a region touches few of the cells
        top, bottom = _touched(along_y)
        left, right = _touched(along_x)
        cells = inputs[image, :, top:bottom, left:right]
        along_y = along_y[:, top:bottom].to(cells)
        along_x = along_x[:, left:right].to(cells)
        output[:] = along_y @ cells @ along_x.T
    return outputs


def _bin_weights(
    start: Tensor, size: Tensor, bins: int, count: int, length: int
) -> Tensor:
    """Return the weight of each cell of an axis in each bin's mean."""
    like = dict(dtype=start.dtype, device=start.device)
    steps = torch.arange(bins * count, **like) + 0.5
    places = start + steps * (size / max(bins * count, 1))
    inside = (places >= -1) & (places <= length)
    cells = torch.arange(length, **like)
    distances = places.clamp(0, length - 1)[:, None] - cells
    weights = (1 - distances.abs()).clamp(min=0) * inside[:, None]
    return weights.view(bins, count, length).sum(1) / max(count, 1)


def _touched(weights: Tensor) -> tuple[int, int]:
    """Return the first cell with a weight and the one behind the last."""
    cells = weights.any(0).nonzero()
    return (int(cells[0]), int(cells[-1]) + 1) if len(cells) else (0, 1)


def deform_conv2d(
    inputs: Tensor,
    offsets: Tensor,
    weight: Tensor,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    deform_groups: int = 1,
    mask: Tensor | None = None,
) -> Tensor:
    r"""Deformable convolution, modulated where there is a mask.

    .. math::
        y(p) = \sum_n w(p_n) \cdot m_n(p) \cdot x(p + p_n + \Delta p_n(p))

    over the taps :math:`p_n` of the kernel; between cells x is bilinear, and 0
    outside. Arguments are those of ``mmcv.ops.deform_conv2d``, and m (N,
    deform_groups * kh * kw, H', W').

    Source: Dai et al., "Deformable Convolutional Networks", ICCV 2017; Zhu
    et al., "Deformable ConvNets v2", CVPR 2019.
    """
    num, _, height, width = inputs.shape
    kernel_h, kernel_w = weight.shape[2:]
    taps = kernel_h * kernel_w
    rows, columns = (
        _tap_places(length, kernel, *settings, inputs)
        for length, kernel, *settings in zip(
            (height, width),
            (kernel_h, kernel_w),
            _pair(stride),
            _pair(padding),
            _pair(dilation),
            strict=True,
        )
    )
    out_h, out_w = rows.shape[1], columns.shape[1]
    rows = rows.repeat_interleave(kernel_w, 0)[:, :, None]
    columns = columns.repeat(kernel_h, 1)[:, None, :]
    fields = num * deform_groups
    offsets = offsets.to(rows).reshape(fields, taps, 2, out_h, out_w)
    # grid_sample's -1 and 1 are the outer edges of the border cells
    grid = torch.stack(
        [
            (offsets[:, :, 1] + columns) * (2 / width) + (1 / width - 1),
            (offsets[:, :, 0] + rows) * (2 / height) + (1 / height - 1),
        ],
        dim=-1,
    ).view(fields, taps * out_h, out_w, 2)
    with without_autocast(inputs):
        sampled = F.grid_sample(
            inputs.reshape(fields, -1, height, width).to(grid),
            grid,
            padding_mode='zeros',
            align_corners=False,
        ).to(inputs.dtype)
    if mask is not None:
        sampled = sampled * mask.reshape(fields, 1, taps * out_h, out_w)
    per_group = weight.shape[1] * taps
    outputs = torch.matmul(
        weight.reshape(groups, -1, per_group),
        sampled.view(num, groups, per_group, out_h * out_w),
    )
    return outputs.reshape(num, -1, out_h, out_w)


def _tap_places(
    length: int,
    kernel: int,
    stride: int,
    padding: int,
    dilation: int,
    like: Tensor,
) -> Tensor:
    """Return where the taps of an axis lie without offsets, (taps, out)."""
    steps = dict(dtype=_at_least_float(like), device=like.device)
    out = (length + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    first = torch.arange(out, **steps) * stride - padding
    return first + torch.arange(kernel, **steps)[:, None] * dilation


def _at_least_float(tensor: Tensor) -> torch.dtype:
    """Half precision would round places by parts of a cell."""
    return torch.promote_types(tensor.dtype, torch.float32)


# The calls of mmcv's wrappers: results go into the tensors that they pass.


def _roi_align_forward(
    inputs, rois, output, argmax_y, argmax_x, **settings
) -> None:
    if settings['pool_mode'] == 0:
        raise RuntimeError(
            "RoIAlign with pool_mode='max' needs mmcv's compiled operators"
        )
    output[:] = roi_align(
        inputs,
        rois,
        (settings['aligned_height'], settings['aligned_width']),
        settings['spatial_scale'],
        settings['sampling_ratio'],
        settings['aligned'],
    )


def _deform_conv_forward(
    inputs, weight, offsets, output, columns, ones, **settings
) -> None:
    output[:] = deform_conv2d(
        inputs,
        offsets,
        weight,
        (settings['dH'], settings['dW']),
        (settings['padH'], settings['padW']),
        (settings['dilationH'], settings['dilationW']),
        settings['group'],
        settings['deformable_group'],
    )


def _modulated_deform_conv_forward(
    inputs, weight, bias, ones, offsets, mask, output, columns, **settings
) -> None:
    output[:] = deform_conv2d(
        inputs,
        offsets,
        weight,
        (settings['stride_h'], settings['stride_w']),
        (settings['pad_h'], settings['pad_w']),
        (settings['dilation_h'], settings['dilation_w']),
        settings['group'],
        settings['deformable_group'],
        mask,
    )
    if settings['with_bias']:
        output += bias.view(1, -1, 1, 1)


OPERATORS = dict(
    nms=nms,
    roi_align_forward=_roi_align_forward,
    deform_conv_forward=_deform_conv_forward,
    modulated_deform_conv_forward=_modulated_deform_conv_forward,
)
"""The fallbacks by the names of mmcv's compiled operators."""


class Placeholder(ModuleType):
    """Stands in for mmcv's extension; operators without fallback raise."""

    def __getattr__(self, name: str):
        # Python asks modules for such names; they are no operators.
        if name.startswith('__'):
            raise AttributeError(name)

        def operator(*args, **kwargs):
            if name not in OPERATORS:
                raise RuntimeError(
                    f'the compiled mmcv operator {name!r} is needed here, but '
                    'mmcv-lite is installed: install mmcv 2.1.0 with its '
                    'operators (make env FULL=1 does)'
                )
            warnings.warn(
                f'mmcv has no compiled operators here: {name!r} is computed '
                'in plain PyTorch'
            )
            return OPERATORS[name](*args, **kwargs)

        return operator


def import_mmcv_ops() -> bool:
    """Import ``mmcv.ops``, with a placeholder for missing operators.

    mmpose and mmdet import it unguarded, so this must run before their models
    are imported. The placeholder is in place only meanwhile: whoever asks
    later whether the extension exists hears the truth. With a compiled mmcv
    nothing is done. Returns whether the operators are missing.
    """
    if importlib.util.find_spec(EXTENSION) is not None:
        return False
    if 'mmcv.ops' in sys.modules:
        return True
    sys.modules[EXTENSION] = Placeholder(EXTENSION)
    try:
        importlib.import_module('mmcv.ops')
    finally:
        del sys.modules[EXTENSION]
    return True
