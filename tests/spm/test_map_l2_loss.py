import pytest
import torch

from rmpe_spm.spm.losses import MapL2Loss


def example():
    output = torch.zeros(2, 1, 2, 2)
    target = torch.tensor([[[[1.0, 2], [3, 4]]], [[[1, 1], [1, 1]]]])
    weights = torch.ones(2, 1, 2, 2)
    weights[1, 0, 0, 0] = 0.5
    mask = torch.ones(2, 1, 2, 2, dtype=torch.bool)
    mask[0, 0, 1, 1] = False
    return output, target, weights, mask


def test_sum_over_cells_mean_over_images():
    output, target, weights, mask = example()
    loss = MapL2Loss(loss_weight=2.0)
    assert loss(output, target, weights).item() == (30 + 3.5) / 2 * 2
    assert loss(output, target, weights, mask).item() == (14 + 3.5) / 2 * 2
    # the same maps twice are the same loss
    twice = [torch.cat((t, t)) for t in (output, target, weights, mask)]
    assert loss(*twice) == loss(output, target, weights, mask)


def test_mean():
    output, target, weights, mask = example()
    loss = MapL2Loss(reduction='mean')(output, target, weights, mask)
    assert loss.item() == pytest.approx((14 + 3.5) / (3 + 3.5))
    nothing = MapL2Loss(reduction='mean')(output, target, 0 * weights)
    assert nothing == 0


def test_gradient_stays_off_the_mask():
    output, target, weights, mask = example()
    output.requires_grad_()
    MapL2Loss()(output, target, weights, mask).backward()
    torch.testing.assert_close(output.grad, -target * weights * mask)


def test_half_precision_sums_in_float32():
    output = torch.zeros(1, 1, 300, 300, dtype=torch.float16)
    loss = MapL2Loss()(output, output + 1, torch.ones_like(output))
    assert loss.dtype == torch.float32 and loss == 90000


def test_unknown_reduction():
    with pytest.raises(ValueError, match="'sum', 'mean'"):
        MapL2Loss(reduction='none')
