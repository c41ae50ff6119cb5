import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmcv_operators import needs_mmcv_operators

from rmpe_spm.experiments.fast_dekr import GridDeformConv2d, deform_conv2d


def brute_force(inputs, offsets, weight, groups):
    """The sum over taps, cell by cell."""
    num, channels, height, width = inputs.shape
    size, per_group = weight.shape[-1], channels // groups
    outputs = inputs.new_zeros(num, len(weight), height, width)

    def value(n, channel, y, x):
        total = 0.0
        top, left = int(y // 1), int(x // 1)
        for row in (top, top + 1):
            for column in (left, left + 1):
                if 0 <= row < height and 0 <= column < width:
                    part = (1 - abs(y - row)) * (1 - abs(x - column))
                    total += part * inputs[n, channel, row, column].item()
        return total

    for n, out, row, column in torch.cartesian_prod(
        *(torch.arange(size) for size in (num, len(weight), height, width))
    ).tolist():
        group = out // (len(weight) // groups)
        for tap in range(size * size):
            place = (group * size * size + tap) * 2
            y, x = offsets[n, place : place + 2, row, column].tolist()
            y += row + tap // size - size // 2
            x += column + tap % size - size // 2
            for channel in range(per_group):
                outputs[n, out, row, column] += weight[
                    out, channel, tap // size, tap % size
                ] * value(n, group * per_group + channel, y, x)
    return outputs


def make(num, groups, height, width, per_group=2, size=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    like = dict(generator=generator, dtype=torch.float64)
    channels = groups * per_group
    inputs = torch.randn(num, channels, height, width, **like)
    offsets = 1.5 * torch.randn(
        num, groups * size * size * 2, height, width, **like
    )
    weight = torch.randn(groups * 3, per_group, size, size, **like)
    return inputs, offsets, weight


@settings(max_examples=15, deadline=None)
@given(
    st.integers(1, 2),
    st.integers(1, 2),
    st.integers(1, 4),
    st.integers(1, 4),
    st.sampled_from([1, 3]),
    st.integers(0, 99),
)
def test_equals_the_sum_over_taps(num, groups, height, width, size, seed):
    inputs, offsets, weight = make(
        num, groups, height, width, size=size, seed=seed
    )
    found = deform_conv2d(inputs, offsets, weight, groups)
    expected = brute_force(inputs, offsets, weight, groups)
    torch.testing.assert_close(found, expected)


def test_without_offsets_it_is_a_convolution():
    inputs, offsets, weight = make(2, 3, 5, 4)
    found = deform_conv2d(inputs, torch.zeros_like(offsets), weight, 3)
    expected = torch.conv2d(inputs, weight, padding=1, groups=3)
    torch.testing.assert_close(found, expected)


def test_whole_offsets_move_the_input():
    inputs, offsets, weight = make(1, 1, 6, 6)
    offsets.view(1, 9, 2, 6, 6)[:] = torch.tensor([1.0, -2.0]).view(2, 1, 1)
    moved = torch.zeros_like(inputs)
    moved[..., :5, 2:] = inputs[..., 1:, :4]
    found = deform_conv2d(inputs, offsets, weight)
    expected = torch.conv2d(moved, weight, padding=1)
    # at the border the moved picture lacks what is there in the input
    inner = (..., slice(1, 4), slice(3, 5))
    torch.testing.assert_close(found[inner], expected[inner])


def test_the_memory_format_makes_no_difference():
    tensors = make(2, 3, 5, 4)
    moved = [x.to(memory_format=torch.channels_last) for x in tensors]
    found, expected = deform_conv2d(*moved, 3), deform_conv2d(*tensors, 3)
    torch.testing.assert_close(found, expected)


def test_half_precision_rounds_values_and_not_places():
    inputs, offsets, weight = make(1, 1, 96, 96, per_group=8)
    # places that half precision can tell from whole cells only near 0
    offsets = (offsets * 4).round() / 4
    half = [tensor.bfloat16() for tensor in (inputs, offsets, weight)]
    found = deform_conv2d(*half).double()
    expected = deform_conv2d(*[tensor.double() for tensor in half])
    error = (found - expected).abs().mean() / expected.abs().mean()
    assert found.dtype == torch.float64 and error < 0.01


def test_gradients():
    tensors = [tensor.requires_grad_() for tensor in make(1, 2, 3, 4)]
    torch.autograd.gradcheck(
        lambda *args: deform_conv2d(*args, groups=2), tensors
    )


@needs_mmcv_operators
def test_equals_mmcv_with_its_gradients():
    from mmcv.ops import DeformConv2d

    theirs = DeformConv2d(6, 9, 3, padding=1, groups=3, deform_groups=3)
    inputs, offsets, _ = make(2, 3, 7, 5)
    theirs = theirs.double()
    ours = GridDeformConv2d(theirs.weight, 3)
    tensors = [inputs.requires_grad_(), offsets.requires_grad_()]
    found, expected = ours(*tensors), theirs(*tensors)
    torch.testing.assert_close(found, expected)
    slope = torch.randn_like(expected)
    gradients = [
        torch.autograd.grad(outputs, [*tensors, theirs.weight], slope)
        for outputs in (found, expected)
    ]
    for one, two in zip(*gradients, strict=True):
        torch.testing.assert_close(one, two)


def test_what_does_not_fit_is_told():
    inputs, offsets, weight = make(1, 2, 3, 4)
    with pytest.raises(ValueError, match='2 groups and 9 taps'):
        deform_conv2d(inputs, offsets[:, 1:], weight, 2)
    with pytest.raises(ValueError, match='odd size'):
        deform_conv2d(inputs, offsets[:, :16], weight[..., :2, :2], 2)
    with pytest.raises(ValueError, match='4 channels'):
        deform_conv2d(inputs, offsets, weight[:, :1], 2)
