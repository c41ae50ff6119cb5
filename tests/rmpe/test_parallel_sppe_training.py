"""ParallelSPPE in the runner: checkpoints, resuming, EMA."""

import pytest
import tiny_rmpe as tiny
import torch
from mmengine.runner import Runner

BRANCH = 'parallel_sppe.'


def run(model, epochs, work_dir, buffers, **kwargs):
    """Train a model for some epochs; return the runner."""
    crops = zip(*tiny.batch(count=8), strict=True)
    runner = Runner(
        model=model,
        work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=4,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=[dict(inputs=x, data_samples=y) for x, y in crops],
        ),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook')),
        custom_hooks=[
            dict(type='EMAHook', momentum=0.5, update_buffers=buffers)
        ],
        default_scope='mmpose',
        experiment_name=f'{work_dir.name}{epochs}{buffers}',
        randomness=dict(seed=0),
        **kwargs,
    )
    runner.train()
    return runner


def checkpoint(runner, epoch):
    path = f'{runner.work_dir}/epoch_{epoch}.pth'
    return torch.load(path, weights_only=True)


@pytest.mark.parametrize('buffers', [False, True])
def test_training_resumes_as_if_uninterrupted(buffers, tmp_path):
    """Also with EMA, of the weights or of the statistics too."""
    # stage 2 starts from a plain model's checkpoint
    weights = str(tmp_path / 'start.pth')
    torch.save(dict(state_dict=tiny.plain().state_dict()), weights)
    models = [tiny.rmpe(seed=s, parallel=dict()) for s in (1, 1, 3)]
    whole, halves = tmp_path / 'straight', tmp_path / 'halves'
    straight = run(models[0], 2, whole, buffers, load_from=weights)
    first = run(models[1], 1, halves, buffers, load_from=weights)
    saved = checkpoint(first, 1)
    # Saved are the averaged weights; the trained ones are beside them. The
    # twin is the pretrained SPPE in both.
    twin = tiny.plain().state_dict()
    for name, value in twin.items():
        assert torch.equal(saved['state_dict'][BRANCH + name], value), name
    resumed = run(models[2], 2, halves, buffers, resume=True)
    ends = [checkpoint(r, 2) for r in (straight, resumed)]
    for key in ('state_dict', 'ema_state_dict'):
        torch.testing.assert_close(ends[1][key], ends[0][key])
    # What validation saw are the averages, of the same names as the model's.
    names = {f'module.{name}' for name in tiny.rmpe().state_dict()}
    assert set(ends[0]['ema_state_dict']) == names | {'steps'}
    main = ends[0]['state_dict']['backbone.layers.0.weight']
    assert not torch.equal(main, twin['backbone.layers.0.weight'])
    # and the twin is not trained
    optimized = {
        id(parameter)
        for group in straight.optim_wrapper.optimizer.param_groups
        for parameter in group['params']
    }
    frozen = {id(p) for p in straight.model.parallel.module.parameters()}
    assert frozen and not frozen & optimized
