"""ThetaCornerLoss: hand-computed distances of corners."""

import pytest
import torch

from rmpe_spm.rmpe.spatial_transformer import ThetaCornerLoss

EYE = torch.eye(2, 3)[None]


def theta(scale_x, x, scale_y, y):
    return torch.tensor([[[scale_x, 0, x], [0, scale_y, y]]])


@pytest.mark.parametrize(
    ('other', 'expected'),
    [
        # every corner 0.3 too far right, none too far down: (0.3 - 0.05) / 2
        (theta(1.0, 0.3, 1.0, 0.0), 0.125),
        # ... and within the quadratic part: 0.06^2 / 0.2 / 2
        (theta(1.0, 0.06, 1.0, 0.0), 0.009),
        # every corner 0.4 too far out, both ways
        (theta(1.4, 0.0, 1.4, 0.0), 0.35),
        # the right corners lie 0.5 off in x, the left ones 0.1
        (theta(1.2, 0.3, 1.0, 0.0), (0.45 + 0.05) / 4),
    ],
)
def test_values_by_hand(other, expected):
    loss = ThetaCornerLoss(smooth=0.1)
    assert loss(other, EYE).item() == pytest.approx(expected, rel=1e-5)
    assert loss(EYE, other).item() == pytest.approx(expected, rel=1e-5)
    assert loss(other, other).item() == 0


def test_mean_over_the_batch_and_weight():
    batch = torch.cat((theta(1.0, 0.3, 1.0, 0.0), EYE))
    loss = ThetaCornerLoss(smooth=0.1, loss_weight=4.0)
    value = loss(batch, EYE.expand(2, 2, 3)).item()
    assert value == pytest.approx(4 * 0.125 / 2)


def test_a_rotation_counts_too():
    turned = torch.tensor([[[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]]])
    # every corner moves by 2 along one of the axes
    loss = ThetaCornerLoss(smooth=0.0)(turned, EYE)
    assert loss.item() == pytest.approx(1.0)


def test_gradcheck():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(3, 2, 3, generator=generator, dtype=torch.float64)
    target = torch.randn(3, 2, 3, generator=generator, dtype=torch.float64)
    loss = ThetaCornerLoss()
    assert torch.autograd.gradcheck(
        lambda x: loss(x, target), values.requires_grad_()
    )


def test_bad_options():
    with pytest.raises(ValueError, match='smooth'):
        ThetaCornerLoss(smooth=-1)
