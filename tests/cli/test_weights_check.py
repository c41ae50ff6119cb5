"""A checkpoint of the model, and others."""

import pytest
import torch
from torch import nn

from rmpe_spm.cli import preflight as weights_check
from rmpe_spm.cli.preflight import check_initial_weights, check_weights
from rmpe_spm.errors import ConfigError


class Model(nn.Module):
    def __init__(self, width=3):
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, width, 1), nn.BatchNorm2d(width)
        )
        self.head = nn.Linear(width, 2)
        self.localizer = nn.Linear(2, 2)


@pytest.fixture
def saved(tmp_path):
    def save(state):
        torch.save(state, tmp_path / 'weights.pth')
        return str(tmp_path / 'weights.pth')

    return save


@pytest.mark.parametrize('wrapped', [False, True])
def test_its_own_weights_are_loaded(saved, wrapped):
    trained, model = Model(), Model()
    state = trained.state_dict()
    del state['backbone.1.num_batches_tracked']  # of an old PyTorch
    if wrapped:
        state = {f'module.{key}': value for key, value in state.items()}
        state = dict(state_dict=state)
    check_weights(model, saved(state))
    assert torch.equal(model.head.weight, trained.head.weight)


def test_an_sppe_without_transformer_may_be_tested(saved, monkeypatch):
    told = []
    monkeypatch.setattr(
        weights_check, 'print_log', lambda text, **_: told.append(text)
    )
    state = Model().state_dict()
    check_weights(Model(), saved(state))
    assert not told
    del state['localizer.weight']
    check_weights(Model(), saved(state))
    assert len(told) == 1 and 'no trained transformer' in told[0]


def test_missing_parts_are_told(saved):
    state = Model().state_dict()
    del state['head.weight']
    with pytest.raises(
        ConfigError, match=r'lacks 1 of the \d+ .*head\.weight'
    ):
        check_weights(Model(), saved(state))


def test_other_shapes_are_told(saved):
    with pytest.raises(ConfigError, match='size mismatch for backbone.0'):
        check_weights(Model(), saved(Model(width=4).state_dict()))


def test_no_weights_at_all(saved):
    with pytest.raises(ConfigError, match='no weights by name, but a list'):
        check_weights(Model(), saved([1, 2]))


def test_a_part_is_enough_to_start_from(saved):
    trained, model = Model(), Model()
    state = {
        key: value
        for key, value in trained.state_dict().items()
        if key.startswith('head.')
    }
    check_initial_weights(model, saved(dict(state_dict=state)))
    assert torch.equal(model.head.weight, trained.head.weight)


def test_other_shapes_may_be_started_from(saved):
    """mmengine logs which; those that fit are loaded."""
    check_initial_weights(Model(), saved(Model(width=4).state_dict()))


def test_nothing_to_start_from_is_told(saved):
    state = {f'encoder.{k}': v for k, v in Model().state_dict().items()}
    with pytest.raises(ConfigError, match='none of its 11 .*encoder.backb'):
        check_initial_weights(Model(), saved(state))
    with pytest.raises(ConfigError, match='no weight the first'):
        check_initial_weights(Model(), saved({}))
