import pytest
from mmengine.optim import build_optim_wrapper
from torch import nn


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Module()
        self.backbone.layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(2))
        self.localizer = nn.Module()
        self.localizer.theta = nn.Linear(2, 2)
        self.localizer.body = nn.Linear(2, 2)
        self.head = nn.Linear(2, 2)


def rates(custom_keys):
    model = Model()
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


def test_without_rates_it_is_the_parent():
    found = rates(dict(bias=dict(decay_mult=0.0)))
    assert {rate for rate, _, _ in found.values()} == {0.25, 0.5, 1.0}
