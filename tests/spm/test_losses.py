import pytest
import torch

from rmpe_spm.spm.stage import MapL1Loss, MapL2Loss


def example():
    output = torch.zeros(2, 1, 2, 2)
    target = torch.tensor([[[[1.0, 2], [-3, 4]]], [[[1, 1], [1, -1]]]])
    weights = torch.ones(2, 1, 2, 2)
    weights[1, 0, 0, 0] = 0.5
    mask = torch.ones(2, 1, 2, 2, dtype=torch.bool)
    mask[0, 0, 1, 1] = False
    return output, target, weights, mask


@pytest.mark.parametrize(
    ('loss', 'whole', 'masked'),
    [
        (MapL2Loss(loss_weight=2.0), 2 * (30 + 3.5) / 2, 2 * (14 + 3.5) / 2),
        (MapL1Loss(loss_weight=2.0), 2 * (10 + 3.5) / 2, 2 * (6 + 3.5) / 2),
    ],
)
def test_sum_over_cells_mean_over_images(loss, whole, masked):
    output, target, weights, mask = example()
    assert loss(output, target, weights).item() == whole
    assert loss(output, target, weights, mask).item() == masked
    # the same maps twice are the same loss
    twice = [torch.cat((t, t)) for t in (output, target, weights, mask)]
    assert loss(*twice) == masked


def test_gradient_stays_off_the_mask():
    output, target, weights, mask = example()
    output.requires_grad_()
    MapL2Loss()(output, target, weights, mask).backward()
    torch.testing.assert_close(output.grad, -target * weights * mask)


def test_half_precision_sums_in_float32():
    output = torch.zeros(1, 1, 300, 300, dtype=torch.float16)
    loss = MapL2Loss()(output, output + 1, torch.ones_like(output))
    assert loss.dtype == torch.float32 and loss == 90000
