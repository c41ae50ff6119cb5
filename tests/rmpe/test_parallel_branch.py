"""The branch: frozen, beside its model, it teaches theta, comes and goes."""

from copy import deepcopy

import pytest
import tiny_rmpe as tiny
import torch
from mmengine.structures import InstanceData
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from torch.export import export

from rmpe_spm.errors import ConfigError
from rmpe_spm.rmpe.heads import head_on_outputs
from rmpe_spm.rmpe.parallel_branch import (
    CENTER_LOSSES,
    center_sample,
    joint_distance,
)
from rmpe_spm.rmpe.sdtn import CropFrame, sdtn_outputs
from rmpe_spm.rmpe.theta import compose, invert_theta

KINDS = ['heatmap', 'simcc', 'RegressionHead', 'RLEHead']


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
@pytest.mark.parametrize('center_loss', ['heatmaps', 'paper'])
def test_center_loss_by_hand(kind, center_loss):
    inputs, samples = tiny.batch(kind)
    parallel = dict(loss_weight=3.0, center_loss=center_loss)
    model = tiny.rmpe(kind, parallel=parallel).train()
    loss = model.loss(inputs, samples)['loss_center']
    twin = tiny.plain(kind).eval()
    twin.head = getattr(twin.head, 'pose_head', twin.head)
    target = torch.stack([s.gt_fields.center_heatmaps for s in samples])
    with torch.no_grad():
        expected = 3 * (twin._forward(inputs) - target).square().mean()
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=0)


def test_joint_distance_by_hand():
    """A frame of 5 x 9 pixels: half its sides are 2 and 4 pixels."""
    frame = CropFrame((5, 9))
    outputs = torch.tensor([[[0.4, 0.5], [0.9, 0.1], [0.2, 0.2]]])
    labels = InstanceData(
        keypoints=torch.tensor([[[1.0, 4.5], [0.0, 0.0], [3.0, 1.8]]]),
        # a joint outside the centre frame has no weight
        keypoint_weights=torch.tensor([[1.0, 0.0, 0.5]]),
    )
    samples = [PoseDataSample()]
    samples[0].gt_instance_labels = labels
    # Joints at (2, 4.5) and (1, 1.8): half a half side off, and a whole one.
    # Smooth L1: 0.5 - 0.1 / 2 and 1 - 0.1 / 2 along x, of two axes.
    motion = torch.eye(2, 3)[None]
    loss = joint_distance(outputs, motion, frame, samples)
    assert loss.item() == pytest.approx((0.45 + 0.95) / 2 / 2, abs=1e-6)
    # a twin that is half as sure counts half as much
    maps = torch.zeros(1, 3, 9, 5)
    maps[0, [0, 2], [4, 2], [2, 1]] = 0.5
    labels.keypoints[0, :, 1] = torch.tensor([4.0, 0.0, 2.0])
    loss = joint_distance(maps, motion, frame, samples)
    assert loss.item() == pytest.approx((0.45 + 0.95) / 4 / 2, abs=1e-4)


@pytest.mark.parametrize('kind', ['udp', 'RegressionHead'])
@pytest.mark.parametrize('center_loss', ['coordinates', 'heatmaps'])
def test_gradient_is_that_of_what_the_twin_sees_moving(kind, center_loss):
    """By gradcheck of the loss with theta-bar and the twin's view fixed."""
    model = tiny.rmpe(kind, parallel=dict(center_loss=center_loss)).double()
    inputs, samples = tiny.batch(kind)
    inputs = inputs.double()
    model.parallel.make(model, inputs.device)
    theta = tiny.THETAS.double().requires_grad_()
    warped = model.stn(inputs, theta)
    loss = model.parallel.loss(warped, theta, samples)['loss_center']
    (grad,) = torch.autograd.grad(loss, theta)
    fixed = theta.detach().clone()
    targets = [center_sample(sample) for sample in samples]
    outputs = model.parallel.outputs(warped.detach())
    assert outputs.dtype == torch.float64

    def by_hand(theta):
        motion = compose(invert_theta(theta), fixed)
        if center_loss == 'coordinates':
            return joint_distance(outputs, motion, model.frame, targets)
        moved = sdtn_outputs(outputs, motion, model.frame)
        head = head_on_outputs(model.head)
        return head.loss(moved, targets, train_cfg={})['loss_kpt']

    expected = by_hand(theta)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(grad, *torch.autograd.grad(expected, theta))
    # away from the grid's points, where sampling has a kink
    shifted = (fixed * 1.01).requires_grad_()
    assert torch.autograd.gradcheck(by_hand, shifted, eps=1e-7, atol=1e-4)


def test_a_frozen_sppe_is_its_own_twin():
    sstn = dict(detach_theta=True, theta_loss=dict(type='ThetaCornerLoss'))
    model = tiny.rmpe(parallel=dict(), freeze_sppe=True, sstn=sstn)
    inputs, samples = tiny.batch()
    for sample in samples:
        sample.gt_instance_labels.center_theta = tiny.THETAS[:1]
    before = {k: v.clone() for k, v in model.state_dict().items()}
    # the main loss teaches nobody, and is not computed
    losses = model.train().loss(inputs, samples)
    assert set(losses) == {'loss_center', 'loss_theta'}
    assert first_weight(model.parallel.module) is first_weight(model)
    train_step(model, inputs, samples)
    after = model.state_dict()
    assert set(after) == set(before)
    for key, value in before.items():
        if key.startswith(('backbone', 'head')):
            assert torch.equal(value, after[key]), key
    assert not torch.equal(*(s['sstn.theta_fc.bias'] for s in (before, after)))


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('center_loss', CENTER_LOSSES)
def test_the_branch_is_frozen_and_teaches_theta(kind, center_loss):
    parallel = dict(center_loss=center_loss)
    # without the main loss, too
    detach = dict(detach_theta=kind == 'heatmap')
    model = tiny.rmpe(kind, parallel=parallel, sstn=detach)
    inputs, samples = tiny.batch(kind)
    assert not model.with_parallel
    losses = model.train().loss(inputs, samples)
    losses['loss_center'].backward()
    assert (model.sstn.theta_fc.bias.grad != 0).all()
    reached = [n for n, p in model.named_parameters() if p.grad is not None]
    assert {name.split('.')[0] for name in reached} == {'localizer', 'sstn'}
    model.zero_grad()
    before = deepcopy(model.parallel.module.state_dict())
    main = deepcopy(model.backbone.state_dict())
    for _ in range(3):
        train_step(model.eval(), inputs, samples)
    twin = model.parallel.module
    for key, value in twin.state_dict().items():
        assert torch.equal(before[key], value), key
    for key in ('layers.1.running_mean', 'layers.0.weight'):
        assert not torch.equal(main[key], model.backbone.state_dict()[key])
    assert not any(m.training for m in twin.modules())
    assert not any(p.requires_grad for p in twin.parameters())


@pytest.mark.parametrize('center_loss', CENTER_LOSSES)
def test_the_branch_learns_the_shift_of_a_crop(center_loss):
    """Theta alone, taught by the centre loss, finds a known shift.

    The image is a blurred dot, the frozen SPPE shows its brightness, and
    the target is the dot moved by 6 pixels.
    """
    weight = 1.0 if center_loss == 'coordinates' else 1e3
    parallel = dict(loss_weight=weight, center_loss=center_loss)
    model = tiny.rmpe(transform='scale_shift', parallel=parallel)
    model.parallel.make(model, torch.device('cpu'))

    def brightness(x):
        return torch.nn.functional.avg_pool2d(x, 4)[:, :1]

    branch = model.parallel.module
    branch.backbone.forward = lambda x: (brightness(x),)
    branch.head.forward = lambda x: x[0].expand(-1, tiny.JOINTS, -1, -1)
    yy, xx = torch.meshgrid(
        torch.arange(64.0), torch.arange(48.0), indexing='ij'
    )

    def dot(x, y):
        distance = (xx - x).square() + (yy - y).square()
        return (-distance / 72).exp().expand(1, 3, 64, 48)

    model.data_preprocessor._enable_normalize = False
    _, samples = tiny.batch(count=1)
    target = brightness(dot(24, 32))[0].expand(tiny.JOINTS, -1, -1)
    samples[0].gt_fields.center_heatmaps = target
    # cell 5.625 shows pixels 22 to 25 best
    labels = samples[0].gt_instance_labels
    labels.center_keypoints = torch.tensor([[[22.5, 30.5]] * tiny.JOINTS])
    optimizer = torch.optim.Adam([model.sstn.theta_fc.bias], lr=0.02)
    for _ in range(60):
        theta = model.regress_theta(dot(30, 26))
        warped = model.stn(dot(30, 26), theta)
        losses = model.parallel.loss(warped, theta, samples)
        losses['loss_center'].backward()
        optimizer.step()
        optimizer.zero_grad()
    scale, x, y = model.sstn.theta_fc.bias.tolist()
    if center_loss != 'coordinates':  # one place has no scale
        assert scale == pytest.approx(1, abs=0.05)
    assert x * 23.5 == pytest.approx(6, abs=0.5)
    assert y * 31.5 == pytest.approx(-6, abs=0.5)


def test_no_module_of_the_model_but_part_of_its_checkpoints():
    model, plain = tiny.rmpe(parallel=dict()), tiny.rmpe()
    inputs, samples = tiny.batch()
    tiny.predict(model, inputs, samples)
    model._forward(inputs)
    assert set(model.state_dict()) == set(plain.state_dict())
    model.train().loss(inputs, samples)
    for names in ('named_parameters', 'named_buffers', 'named_modules'):
        found, expected = (dict(getattr(m, names)()) for m in (model, plain))
        assert list(found) == list(expected)
    saved = set(model.state_dict()) - set(plain.state_dict())
    twin = model.parallel.module.state_dict()
    assert saved == {f'parallel_sppe.{key}' for key in twin}
    # a model without a branch takes such a checkpoint too
    report = plain.load_state_dict(model.state_dict())
    assert not report.unexpected_keys and not report.missing_keys
    assert not saved & set(plain.state_dict())


def test_a_copy_of_the_model_has_a_twin_of_its_own():
    model = tiny.trained()
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


def test_loss_traces_into_a_graph():
    """As with ``compile=True`` of mmengine's runner."""
    model = tiny.trained()
    inputs, samples = tiny.batch()
    expected = deepcopy(model).loss(inputs, deepcopy(samples))
    compiled = torch.compile(model.forward, backend='eager')
    losses = compiled(inputs, deepcopy(samples), mode='loss')
    for key in ('loss_kpt', 'loss_center'):
        torch.testing.assert_close(losses[key], expected[key])


def test_an_inference_checkpoint_starts_a_new_twin():
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


@pytest.mark.parametrize('own', [False, True])
def test_a_twin_that_was_never_trained_is_refused(own):
    parallel = dict(sppe=tiny.sppe() if own else None)
    model = MODELS.build(tiny.rmpe_config(parallel=parallel))
    with pytest.raises(ConfigError, match='never trained.*load_from'):
        model.loss(*tiny.batch())
    # weights that come with its config are as good
    if not own:
        model.head.init_cfg = dict(type='Pretrained', checkpoint='a file')
        assert 'loss_center' in model.loss(*tiny.batch())


def test_a_branch_of_its_own_with_a_checkpoint(tmp_path):
    other = tiny.plain(seed=9)
    path = tmp_path / 'other.pth'
    torch.save(dict(state_dict=other.state_dict()), path)
    parallel = dict(sppe=tiny.sppe(), checkpoint=str(path))
    model = tiny.rmpe(parallel=parallel).train()
    inputs, samples = tiny.batch()
    model.loss(inputs, samples)
    twin = model.parallel.module
    for name, value in other.state_dict().items():
        assert torch.equal(twin.state_dict()[name], value), name
    assert not twin.training and not twin.backbone.training


def test_an_exported_program_has_no_branch():
    model = tiny.trained().eval()
    model.forward = model._forward  # in tensor mode, as mmpose's own tools
    tiny.set_theta(model.sstn)
    inputs, _ = tiny.batch()
    program = export(model, (inputs,))
    names = {name for name, _ in tiny.rmpe().named_parameters()}
    assert set(program.graph_signature.parameters) == names
    assert not any('parallel' in name for name in program.state_dict)
    with torch.no_grad():
        torch.testing.assert_close(
            program.module()(inputs), model(inputs), rtol=1e-4, atol=1e-5
        )
