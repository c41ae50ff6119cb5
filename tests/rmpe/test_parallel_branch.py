"""The twin is beside its model, not in it, and follows it."""

from copy import deepcopy

import pytest
import torch
from mmpose.models.pose_estimators import TopdownPoseEstimator

from rmpe_spm.rmpe.parallel_branch import check_sppe


def trained(tiny):
    """A model with a branch, from a training step."""
    model = tiny.rmpe(parallel=dict()).train()
    model.loss(*tiny.batch())
    return model


def test_no_module_of_the_model(tiny):
    model = trained(tiny)
    plain = tiny.rmpe()
    for names in ('named_parameters', 'named_buffers', 'named_modules'):
        found = [name for name, _ in getattr(model, names)()]
        assert found == [name for name, _ in getattr(plain, names)()]
    # but in the checkpoints of a training
    saved = set(model.state_dict()) - set(plain.state_dict())
    assert saved == {
        f'parallel_sppe.{key}' for key in model.parallel.module.state_dict()
    }


def test_follows_the_dtype_of_its_model(tiny):
    model = trained(tiny).double()
    assert model.backbone.layers[0].weight.dtype == torch.float64
    values = model.parallel.module.state_dict().values()
    assert {v.dtype for v in values if v.is_floating_point()} == {
        torch.float64
    }
    inputs, samples = tiny.batch()
    losses = model.loss(inputs.double(), samples)
    assert torch.isfinite(losses['loss_center'])


def test_a_copy_of_the_model_has_a_twin_of_its_own(tiny):
    model = trained(tiny)
    copy = deepcopy(model)
    own = copy.parallel.module.backbone.layers[0].weight
    twin = model.parallel.module.backbone.layers[0].weight
    assert torch.equal(own, twin) and own is not twin
    # and saves and loads its own
    with torch.no_grad():
        own.add_(1)
    key = 'parallel_sppe.backbone.layers.0.weight'
    assert torch.equal(copy.state_dict()[key], own)
    assert torch.equal(model.state_dict()[key], twin)
    copy.load_state_dict(model.state_dict())
    assert torch.equal(own, twin)


def test_loss_traces_into_a_graph(tiny):
    """As with ``compile=True`` of mmengine's runner."""
    model = trained(tiny)
    inputs, samples = tiny.batch()
    expected = deepcopy(model).loss(inputs, deepcopy(samples))
    compiled = torch.compile(model.forward, backend='eager')
    losses = compiled(inputs, deepcopy(samples), mode='loss')
    for key in ('loss_kpt', 'loss_center'):
        torch.testing.assert_close(losses[key], expected[key])


@pytest.mark.parametrize(
    'kind',
    ['TopdownPoseEstimator', 'mmpose.TopdownPoseEstimator']
    + [TopdownPoseEstimator],
)
def test_names_of_the_top_down_model(kind):
    check_sppe(dict(type=kind, head=dict()), 'sppe')


@pytest.mark.parametrize('kind', ['BottomupPoseEstimator', 'Nobody', None])
def test_other_models_are_refused(kind):
    with pytest.raises(ValueError, match=r'parallel\.sppe: expected'):
        check_sppe(dict(type=kind, head=dict()), 'parallel.sppe')
