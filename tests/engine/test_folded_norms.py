import pytest
import torch
from mmcv.cnn import ConvModule
from torch import nn

from rmpe_spm.engine.hooks import folded_norms


def network():
    torch.manual_seed(0)
    model = nn.Sequential(
        ConvModule(3, 4, 3, norm_cfg=dict(type='BN')), nn.Conv2d(4, 2, 1)
    ).eval()
    norm = model[0].bn
    nn.init.uniform_(norm.running_mean, -1, 1)
    nn.init.uniform_(norm.running_var, 0.5, 2)
    nn.init.uniform_(norm.weight, 0.5, 2)
    nn.init.uniform_(norm.bias, -1, 1)
    return model


def test_the_same_function_without_its_norms_and_then_as_before():
    model = network()
    images = torch.randn(2, 3, 8, 8)
    before = model(images)
    modules, parameters = list(model.modules()), list(model.parameters())
    with folded_norms(model):
        assert not any(isinstance(m, nn.BatchNorm2d) for m in model.modules())
        torch.testing.assert_close(model(images), before)
    assert all(a is b for a, b in zip(model.modules(), modules, strict=True))
    assert all(
        a is b for a, b in zip(model.parameters(), parameters, strict=True)
    )
    assert torch.equal(model(images), before)


def test_an_error_leaves_the_model_as_it_was():
    model = network()
    with pytest.raises(KeyError), folded_norms(model):
        raise KeyError
    assert isinstance(model[0].bn, nn.BatchNorm2d)
    assert model[0].conv.bias is None


def test_an_error_while_folding_too():
    """Here of the second block, whose convolution has no such channels."""
    model = network()
    model.append(nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(5)).eval())
    modules = list(model.modules())
    with pytest.raises(RuntimeError), folded_norms(model):
        raise AssertionError('not reached')
    assert all(a is b for a, b in zip(model.modules(), modules, strict=True))
