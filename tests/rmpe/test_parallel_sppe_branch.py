"""ParallelSPPE's branch: frozen, it teaches theta, and comes and goes."""

from copy import deepcopy

import pytest
import torch

KINDS = ['heatmap', 'simcc', 'RegressionHead', 'RLEHead']


def test_center_loss_by_hand(tiny):
    inputs, samples = tiny.batch()
    model = tiny.rmpe(parallel=dict(loss_weight=3.0)).train()
    loss = model.loss(inputs, samples)['loss_center']
    twin = tiny.plain().eval()
    target = torch.stack([s.gt_fields.center_heatmaps for s in samples])
    with torch.no_grad():
        expected = 3 * (twin._forward(inputs) - target).square().mean()
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=0)


def train_step(model, inputs, samples, only=None):
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=1e-3)
    losses = model.train().loss(inputs, samples)
    loss = sum(v for k, v in losses.items() if 'loss' in k)
    (loss if only is None else losses[only]).backward()
    optimizer.step()
    optimizer.zero_grad()
    return losses


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


def test_the_branch_is_absent_until_training_and_from_inference(tiny):
    model = tiny.rmpe(parallel=dict())
    inputs, samples = tiny.batch()
    tiny.predict(model, inputs, samples)
    model._forward(inputs)
    assert not any('parallel' in key for key in model.state_dict())
    model.train().loss(inputs, samples)
    keys = [k for k in model.state_dict() if k.startswith('parallel_sppe.')]
    assert keys
    trained = model.state_dict()
    fresh = tiny.rmpe(seed=7)
    report = fresh.load_state_dict(trained)
    assert not report.unexpected_keys and not report.missing_keys
    assert not any('parallel' in key for key in fresh.state_dict())


def test_resume_keeps_the_twin(tiny):
    inputs, samples = tiny.batch()
    model = tiny.rmpe(parallel=dict())
    for _ in range(2):
        train_step(model, inputs, samples)
    saved = deepcopy(model.state_dict())
    resumed = tiny.rmpe(seed=7, parallel=dict())
    resumed.load_state_dict(saved)
    losses = [m.train().loss(inputs, samples) for m in (model, resumed)]
    torch.testing.assert_close(*(x['loss_center'] for x in losses))
    assert all(
        torch.equal(value, resumed.state_dict()[key])
        for key, value in saved.items()
        if key.startswith('parallel_sppe.')
    )
    # It is not a copy of the main SPPE any more, which has been trained.
    twin, main = resumed.parallel.module.backbone, resumed.backbone
    assert not torch.equal(twin.layers[0].weight, main.layers[0].weight)


def test_an_inference_checkpoint_starts_a_new_twin(tiny):
    inputs, samples = tiny.batch()
    model = tiny.rmpe(parallel=dict())
    model.load_state_dict(tiny.rmpe(seed=3).state_dict())
    model.train().loss(inputs, samples)
    twin, main = model.parallel.module.backbone, model.backbone
    assert torch.equal(twin.layers[0].weight, main.layers[0].weight)
    # Loaded while the branch is there, it leaves the branch alone.
    report = model.load_state_dict(tiny.rmpe(seed=5).state_dict())
    assert not report.missing_keys
    assert not torch.equal(twin.layers[0].weight, main.layers[0].weight)


def test_the_twin_of_another_model_is_made_anew(tiny):
    """As where a model for other joints starts from a training's weights."""
    inputs, samples = tiny.batch()
    model = tiny.rmpe(parallel=dict())
    train_step(model, inputs, samples)
    saved = model.state_dict()
    for key in list(saved):
        if 'final_layer' in key:
            saved[key] = saved[key][:-1]
    started = tiny.rmpe(seed=7, parallel=dict()).train()
    with pytest.raises(RuntimeError, match='size mismatch'):
        started.load_state_dict(saved)  # mmengine logs that and goes on
    started.loss(inputs, samples)
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
