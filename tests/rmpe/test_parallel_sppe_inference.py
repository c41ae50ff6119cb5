"""Nothing of the parallel branch is computed, exported or published."""

import pytest
import tiny_rmpe as tiny
import torch
from mmengine.analysis import FlopAnalyzer, get_model_complexity_info


def for_export(model):
    """The model in tensor mode, as mmpose's own tools count and export."""
    model.forward = model._forward
    return model.eval()


def after_training(kind='heatmap'):
    """A model for inference that loaded a training checkpoint."""
    model = tiny.rmpe(kind, seed=7, parallel=dict())
    model.load_state_dict(tiny.trained(kind).state_dict())
    return model


def complexity(model, inputs):
    model = for_export(model)
    return get_model_complexity_info(
        model, inputs=(inputs,), show_table=False, show_arch=False
    )


def test_the_branch_costs_nothing_at_test():
    inputs, _ = tiny.batch(count=1)
    without = complexity(tiny.rmpe(), inputs)
    # Where training goes on, the branch is there but no part of the model.
    models = tiny.rmpe(parallel=dict()), after_training(), tiny.trained()
    for model in models:
        found = complexity(model, inputs)
        assert found['flops'] == without['flops']
        assert found['params'] == without['params']


def test_what_rmpe_costs_is_the_localizer_and_the_warps():
    inputs, _ = tiny.batch(count=1)
    plain = complexity(tiny.plain(), inputs)
    model = tiny.trained()
    found = complexity(model, inputs)
    count = FlopAnalyzer(model, (inputs,))
    count.unsupported_ops_warnings(False)
    count.uncalled_modules_warnings(False)
    parts = count.by_module()
    assert parts['backbone'] + parts['head'] == plain['flops']
    assert parts['localizer'] == parts['backbone']  # the same network here
    # The STN on 3 maps and the SDTN on one a joint, 4 operations a value;
    # pooling 8 maps; a linear layer from 8 values to 6.
    (w, h), (map_w, map_h) = tiny.SIZE, tiny.MAP
    warps = 4 * (3 * w * h + tiny.JOINTS * map_w * map_h)
    rest = warps + 8 * map_w * map_h + 8 * 6
    total = plain['flops'] + parts['localizer'] + rest
    assert found['flops'] == total


def expected_names(kind):
    return {name for name, _ in tiny.rmpe(kind).named_parameters()}


@pytest.mark.parametrize('loaded', [False, True])
@pytest.mark.parametrize('kind', ['heatmap', 'simcc', 'RegressionHead'])
def test_a_trace_has_no_branch(kind, loaded):
    model = after_training(kind) if loaded else tiny.trained(kind)
    model = for_export(model)
    tiny.set_theta(model.sstn)
    inputs, _ = tiny.batch(kind)
    with torch.no_grad():
        traced = torch.jit.trace(model, (inputs,), check_trace=False)
        expected, found = model(inputs), traced(inputs)
    names = {name for name, _ in traced.named_parameters()}
    assert names == expected_names(kind)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    # and the training goes on
    assert 'loss_center' in model.train().loss(*tiny.batch(kind))


def test_an_exported_program_has_no_branch():
    export = pytest.importorskip('torch.export').export
    model = for_export(after_training())
    tiny.set_theta(model.sstn)
    inputs, _ = tiny.batch()
    program = export(model, (inputs,))
    names = set(program.graph_signature.parameters)
    assert names == expected_names('heatmap')
    assert not any('parallel' in name for name in program.state_dict)
    with torch.no_grad():
        torch.testing.assert_close(
            program.module()(inputs), model(inputs), rtol=1e-4, atol=1e-5
        )
