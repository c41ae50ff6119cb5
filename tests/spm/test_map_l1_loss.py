import pytest
import torch

from rmpe_spm.spm.losses import MapL1Loss

TARGET = torch.tensor([[[[0.05, -0.2], [1.0, -3.0]]]])
WEIGHTS = torch.tensor([[[[1.0, 1], [1, 0]]]])


def test_sum_over_windows_mean_over_images():
    loss = MapL1Loss(loss_weight=2.0)
    output = torch.zeros_like(TARGET)
    assert loss(output, TARGET, WEIGHTS).item() == pytest.approx(2.5)
    two = [torch.cat((t, 0 * t)) for t in (output, TARGET, WEIGHTS)]
    assert loss(*two).item() == pytest.approx(1.25)


def test_smooth():
    loss = MapL1Loss(smooth=0.1)(0 * TARGET, TARGET, WEIGHTS)
    assert loss.item() == pytest.approx(0.05**2 / 0.2 + 0.15 + 0.95)


def test_mean_over_windows():
    loss = MapL1Loss(reduction='mean')(0 * TARGET, TARGET, WEIGHTS)
    assert loss.item() == pytest.approx(1.25 / 3)


def test_bad_options():
    with pytest.raises(ValueError, match='reduction'):
        MapL1Loss(reduction='max')
    with pytest.raises(ValueError, match='smooth'):
        MapL1Loss(smooth=-1)
