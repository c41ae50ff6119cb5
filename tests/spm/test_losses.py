import math

import pytest
import torch

from rmpe_spm import MapFocalLoss, MapL1Loss, MapL2Loss


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


def test_focal_loss_by_hand():
    output = torch.tensor([0.25, 0.5, 0.5, 0.0, 1.0]).reshape(1, 1, 1, 5)
    target = torch.tensor([0.9, 0.5, 0.0, 0.0, 1.0]).reshape(1, 1, 1, 5)
    weights = torch.tensor([2.0, 1, 1, 1, 1]).reshape(1, 1, 1, 5)
    expected = (
        2 * 0.75**2 * math.log(4)
        + 0.5**4 * 0.5**2 * math.log(2)
        + 0.5**2 * math.log(2)
    )
    loss = MapFocalLoss(loss_weight=2.0)(output, target, weights)
    assert loss.item() == pytest.approx(2 * expected, abs=1e-4)


def test_focal_loss_teaches_what_was_missed():
    """Behind a sigmoid the squared error has hardly a gradient there."""
    gradients = []
    for loss in (MapFocalLoss(), MapL2Loss()):
        logits = torch.full((1, 1, 1, 1), -6.0, requires_grad=True)
        one = torch.ones(1, 1, 1, 1)
        loss(logits.sigmoid(), one, one).backward()
        gradients.append(logits.grad.item())
    assert gradients[0] < -0.9 and -0.01 < gradients[1] < 0
