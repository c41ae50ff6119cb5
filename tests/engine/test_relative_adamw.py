import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch import nn

from rmpe_spm import RelativeAdamW


def train(model, optimizer, steps=3):
    for step in range(steps):
        optimizer.zero_grad()
        x = torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(3, 4)
        (model(x + step) ** 2).sum().backward()
        optimizer.step()


def test_channels_move_by_shares_of_their_size_as_adamw_moves_ones_of_size_1():
    """Scaled rows with gradients of one sign step like rows of size 1."""
    size = torch.tensor([4.0, 0.25, 0.03125])
    weight = nn.Parameter(size[:, None] * torch.tensor([[1.0, -1, 1, -1]]))
    bias = nn.Parameter(torch.tensor([0.5, -0.5, 0.5]))
    optimizer = RelativeAdamW([weight, bias], lr=0.1, weight_decay=0)
    (weight.sum() + bias.sum()).backward()
    optimizer.step()
    expected = size[:, None] * torch.tensor([[0.9, -1.1, 0.9, -1.1]])
    torch.testing.assert_close(weight.data, expected)
    torch.testing.assert_close(bias.data, torch.tensor([0.45, -0.55, 0.45]))


def test_scaling_a_channel_scales_its_path():
    """A network with channels of many sizes learns as the one without."""
    torch.manual_seed(0)
    plain = nn.Sequential(
        nn.Linear(4, 5, bias=False), nn.ReLU(), nn.Linear(5, 2, bias=False)
    ).double()
    scaled = nn.Sequential(
        nn.Linear(4, 5, bias=False), nn.ReLU(), nn.Linear(5, 2, bias=False)
    ).double()
    # powers of two, and the same for all rows that one row of the next reads
    scaled[0].weight.data = plain[0].weight.data * 64
    scaled[2].weight.data = plain[2].weight.data / 64
    for model in (plain, scaled):
        optimizer = RelativeAdamW(
            model.parameters(), lr=0.01, weight_decay=0, eps=1e-30, smallest=0
        )
        train(model, optimizer)
    torch.testing.assert_close(scaled[0].weight, plain[0].weight * 64)
    torch.testing.assert_close(scaled[2].weight, plain[2].weight / 64)


@pytest.mark.parametrize('zero', [0.0, 1e-9])
def test_a_weight_of_zero_can_move(zero):
    weight = nn.Parameter(torch.full((1, 2), zero))
    optimizer = RelativeAdamW([weight], lr=0.5, smallest=0.125, weight_decay=0)
    weight.sum().backward()
    optimizer.step()
    torch.testing.assert_close(weight.data, torch.full((1, 2), -0.0625))


def test_configs_name_it():
    wrapper = build_optim_wrapper(
        nn.Linear(2, 1),
        dict(
            type='OptimWrapper',
            optimizer=dict(type='RelativeAdamW', lr=1e-3, weight_decay=0),
        ),
    )
    assert isinstance(wrapper.optimizer, RelativeAdamW)
