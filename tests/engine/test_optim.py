import pytest
import torch
from mmengine.model import BaseModel
from mmengine.optim import build_optim_wrapper
from torch import nn

from rmpe_spm import RelativeAdamW


class Model(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 1, bias=False)
        nn.init.constant_(self.layer.weight, 1)

    def forward(self, inputs, data_samples=None, mode='loss'):
        self.output = self.layer(inputs)
        return dict(loss=self.output.float().sum())


def test_a_step_computes_in_bfloat16_and_changes_float32_weights():
    model = Model()
    sgd = dict(type='SGD', lr=0.125)
    wrapper = build_optim_wrapper(
        model, dict(type='BFloat16OptimWrapper', optimizer=sgd)
    )
    # 257 is 256 in bfloat16, which has 8 bits before rounding to even
    data = dict(inputs=torch.tensor([[257.0, 0.0, 0.0]]))
    losses = model.train_step(data, wrapper)
    assert model.output.dtype == torch.bfloat16
    assert losses['loss'].item() == 256
    weight = model.layer.weight
    assert weight.dtype == torch.float32
    assert weight.tolist() == [[1 - 0.125 * 256, 1, 1]]
    assert model(data['inputs'])['loss'].item() == 257 * weight[0, 0].item()


class Layers(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Module()
        self.backbone.layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(2))
        self.localizer = nn.Module()
        self.localizer.theta = nn.Linear(2, 2)
        self.localizer.body = nn.Linear(2, 2)
        self.head = nn.Linear(2, 2)


def rates(custom_keys):
    model = Layers()
    wrapper = build_optim_wrapper(
        model,
        dict(
            constructor='LayerDecayLrMultConstructor',
            optimizer=dict(type='SGD', lr=1.0, weight_decay=0.1),
            paramwise_cfg=dict(
                num_layers=2, layer_decay_rate=0.5, custom_keys=custom_keys
            ),
        ),
    )
    groups = wrapper.optimizer.param_groups
    assert sum(len(g['params']) for g in groups) == len(
        list(model.parameters())
    )
    return {
        name: (group['lr'], group['lr_scale'], group['weight_decay'])
        for group in groups
        for name in group['param_names']
    }


def test_rates_by_hand():
    found = rates(
        dict(
            bias=dict(decay_mult=0.0),
            localizer=dict(lr_mult=0.5),
            theta=dict(lr_mult=0.25),
        )
    )
    # four levels: embedding, two layers, the rest
    assert found['backbone.layers.0.weight'] == (0.25, 0.25, 0.1)
    assert found['backbone.layers.1.bias'] == (0.5, 0.5, 0.0)
    assert found['head.weight'] == (1.0, 1.0, 0.1)
    # the longer key counts, and `bias`, which has no rate, takes none away
    assert found['localizer.theta.weight'] == (0.5, 0.5, 0.1)
    assert found['localizer.body.bias'] == (0.5, 0.5, 0.0)
    found = rates(dict(body=dict(lr_mult=0.5), localizer=dict(lr_mult=0.1)))
    assert found['localizer.body.weight'][0] == pytest.approx(0.1)
    # without rates it is the parent
    found = rates(dict(bias=dict(decay_mult=0.0)))
    assert {rate for rate, _, _ in found.values()} == {0.25, 0.5, 1.0}


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


@pytest.mark.parametrize('zero', [0.0, 1e-9])
def test_a_weight_of_zero_can_move(zero):
    weight = nn.Parameter(torch.full((1, 2), zero))
    optimizer = RelativeAdamW([weight], lr=0.5, smallest=0.125, weight_decay=0)
    weight.sum().backward()
    optimizer.step()
    torch.testing.assert_close(weight.data, torch.full((1, 2), -0.0625))
