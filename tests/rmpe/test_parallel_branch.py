"""The branch: frozen, beside its model, it teaches theta, comes and goes."""

from copy import deepcopy

import pytest
import torch
from mmengine.config import ConfigDict
from mmpose.models.pose_estimators import TopdownPoseEstimator

from rmpe_spm.rmpe.parallel_branch import check_sppe, to_builtin_containers

KINDS = ['heatmap', 'simcc', 'RegressionHead', 'RLEHead']
PREFIX = 'parallel_sppe.'


def trained(tiny, steps=1, **parallel):
    """A model with a branch, from some training steps."""
    model = tiny.rmpe(parallel=parallel)
    for _ in range(steps):
        train_step(model, *tiny.batch())
    return model


def train_step(model, inputs, samples):
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=1e-3)
    losses = model.train().loss(inputs, samples)
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    optimizer.step()
    optimizer.zero_grad()


def first_weight(module):
    return module.backbone.layers[0].weight


@pytest.mark.parametrize('kind', ['heatmap', 'heatmap+vis'])
def test_center_loss_by_hand(tiny, kind):
    inputs, samples = tiny.batch(kind)
    model = tiny.rmpe(kind, parallel=dict(loss_weight=3.0)).train()
    loss = model.loss(inputs, samples)['loss_center']
    twin = tiny.plain(kind).eval()
    twin.head = getattr(twin.head, 'pose_head', twin.head)
    target = torch.stack([s.gt_fields.center_heatmaps for s in samples])
    with torch.no_grad():
        expected = 3 * (twin._forward(inputs) - target).square().mean()
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize('kind', KINDS)
def test_the_branch_is_frozen_and_teaches_theta(tiny, kind):
    model = tiny.rmpe(kind, parallel=dict())
    inputs, samples = tiny.batch(kind)
    assert not model.with_parallel
    losses = model.train().loss(inputs, samples)
    losses['loss_center'].backward()
    assert (model.sstn.theta_fc.bias.grad != 0).all()
    reached = {n for n, p in model.named_parameters() if p.grad is not None}
    assert reached and all(
        n.startswith(('localizer.', 'sstn.')) for n in reached
    )
    model.zero_grad()
    before = deepcopy(model.parallel.module.state_dict())
    main = deepcopy(model.backbone.state_dict())
    for _ in range(2):
        train_step(model, inputs, samples)
    model.eval()
    model.train()
    train_step(model, inputs, samples)
    after = model.parallel.module.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert any('running_mean' in key for key in before)
    changed = model.backbone.state_dict()
    assert not torch.equal(
        main['layers.1.running_mean'], changed['layers.1.running_mean']
    )
    assert not torch.equal(main['layers.0.weight'], changed['layers.0.weight'])
    assert not any(m.training for m in model.parallel.module.modules())
    assert not any(p.requires_grad for p in model.parallel.module.parameters())


def test_the_branch_learns_the_shift_of_a_crop(tiny):
    """Theta alone, taught by the centre loss, finds a known shift.

    The image is a blurred dot, the frozen SPPE shows its brightness, and
    the target is the dot moved by 6 pixels.
    """
    model = tiny.rmpe(transform='scale_shift', parallel=dict(loss_weight=1e3))
    model.parallel.make(model, torch.device('cpu'))

    class Brightness(torch.nn.Module):
        def forward(self, x):
            return (torch.nn.functional.avg_pool2d(x, 4)[:, :1],)

    class Same(torch.nn.Module):
        def forward(self, feats):
            return feats[0].expand(-1, tiny.joints, -1, -1)

    branch = model.parallel.module
    branch.backbone, branch.head.final_layer = (
        Brightness(),
        torch.nn.Identity(),
    )
    branch.head.forward = Same().forward
    yy, xx = torch.meshgrid(
        torch.arange(64.0), torch.arange(48.0), indexing='ij'
    )

    def dot(x, y):
        distance = (xx - x).square() + (yy - y).square()
        return (-distance / 72).exp().expand(1, 3, 64, 48)

    model.data_preprocessor._enable_normalize = False
    _, samples = tiny.batch(count=1)
    samples[0].gt_fields.center_heatmaps = Same()(Brightness()(dot(24, 32)))[0]
    optimizer = torch.optim.Adam([model.sstn.theta_fc.bias], lr=0.02)
    for _ in range(60):
        theta = model.regress_theta(dot(30, 26))
        warped = model.stn(dot(30, 26), theta)
        model.parallel.loss(warped, samples)['loss_center'].backward()
        optimizer.step()
        optimizer.zero_grad()
    scale, x, y = model.sstn.theta_fc.bias.tolist()
    assert scale == pytest.approx(1, abs=0.05)
    assert x * 23.5 == pytest.approx(6, abs=0.5)
    assert y * 31.5 == pytest.approx(-6, abs=0.5)


def test_no_module_of_the_model_but_part_of_its_checkpoints(tiny):
    model, plain = tiny.rmpe(parallel=dict()), tiny.rmpe()
    inputs, samples = tiny.batch()
    tiny.predict(model, inputs, samples)
    model._forward(inputs)
    assert set(model.state_dict()) == set(plain.state_dict())
    model.train().loss(inputs, samples)
    for names in ('named_parameters', 'named_buffers', 'named_modules'):
        found = [name for name, _ in getattr(model, names)()]
        assert found == [name for name, _ in getattr(plain, names)()]
    saved = set(model.state_dict()) - set(plain.state_dict())
    twin = model.parallel.module.state_dict()
    assert saved == {PREFIX + key for key in twin}
    # a model without a branch takes such a checkpoint too
    report = plain.load_state_dict(model.state_dict())
    assert not report.unexpected_keys and not report.missing_keys
    assert not saved & set(plain.state_dict())


def test_follows_the_dtype_of_its_model(tiny):
    model = trained(tiny).double()
    assert first_weight(model).dtype == torch.float64
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
    own, twin = (first_weight(m.parallel.module) for m in (copy, model))
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


def test_an_inference_checkpoint_starts_a_new_twin(tiny):
    inputs, samples = tiny.batch()
    model = tiny.rmpe(parallel=dict())
    model.load_state_dict(tiny.rmpe(seed=3).state_dict())
    model.train().loss(inputs, samples)
    twin = first_weight(model.parallel.module)
    assert torch.equal(twin, first_weight(model))
    # Loaded while the branch is there, it leaves the branch alone.
    report = model.load_state_dict(tiny.rmpe(seed=5).state_dict())
    assert not report.missing_keys
    assert not torch.equal(twin, first_weight(model))


def test_the_twin_of_another_model_is_made_anew(tiny):
    """As where a model for other joints starts from a training's weights."""
    saved = trained(tiny).state_dict()
    for key in list(saved):
        if 'final_layer' in key:
            saved[key] = saved[key][:-1]
    started = tiny.rmpe(seed=7, parallel=dict()).train()
    with pytest.raises(RuntimeError, match='size mismatch'):
        started.load_state_dict(saved)  # mmengine logs that and goes on
    started.loss(*tiny.batch())
    main = started.state_dict()
    for key, value in started.parallel.module.named_parameters():
        assert torch.equal(value, main[key]), key


def test_a_branch_of_its_own_with_a_checkpoint(tiny, tmp_path):
    other = tiny.plain(seed=9)
    path = tmp_path / 'other.pth'
    torch.save(dict(state_dict=other.state_dict()), path)
    parallel = dict(sppe=tiny.sppe(), checkpoint=str(path))
    model = tiny.rmpe(parallel=parallel).train()
    inputs, samples = tiny.batch()
    model.loss(inputs, samples)
    twin = model.parallel.module
    assert torch.equal(
        twin.head.final_layer.weight, other.head.final_layer.weight
    )
    assert not twin.training and not twin.backbone.training


@pytest.mark.parametrize(
    ('kind', 'is_known'),
    [
        ('TopdownPoseEstimator', True),
        ('mmpose.TopdownPoseEstimator', True),
        (TopdownPoseEstimator, True),
        ('BottomupPoseEstimator', False),
        ('Nobody', False),
        (None, False),
    ],
)
def test_names_of_the_top_down_model(kind, is_known):
    config = dict(type=kind, head=dict())
    if is_known:
        return check_sppe(config, 'sppe')
    with pytest.raises(ValueError, match=r'parallel\.sppe: expected'):
        check_sppe(config, 'parallel.sppe')


def test_builtin_containers_at_any_depth():
    given = ConfigDict(a=(1, [2, (3,)]), b=ConfigDict(c='x', d=None))
    builtin = to_builtin_containers(given)
    assert builtin == dict(a=[1, [2, [3]]], b=dict(c='x', d=None))
    assert type(builtin) is type(builtin['b']) is dict
