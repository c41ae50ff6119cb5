"""ParallelSPPE in the runner: checkpoints, resuming, EMA."""

from copy import deepcopy

import pytest
import tiny_rmpe as tiny
import torch
from mmengine.runner import Runner
from torch.utils.data import Dataset

BRANCH = 'parallel_sppe.'


class Crops(Dataset):
    """Crops with both targets, in memory."""

    def __init__(self):
        inputs, samples = tiny.batch(count=8)
        self.items = list(zip(inputs, samples, strict=True))

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        image, sample = self.items[index]
        return dict(inputs=image, data_samples=deepcopy(sample))


@pytest.fixture(params=[False, True], ids=['weights', 'buffers too'])
def run(tmp_path, request):
    """Train a model for some epochs; return the runner."""
    from mmengine.registry import DefaultScope

    buffers = request.param

    def train(model, epochs, folder, **kwargs):
        ema = dict(type='EMAHook', momentum=0.5, update_buffers=buffers)
        kwargs = dict(resume=False, load_from=None) | kwargs
        runner = Runner(
            model=model,
            work_dir=str(tmp_path / folder),
            train_dataloader=dict(
                batch_size=4,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=Crops(),
            ),
            train_cfg=dict(by_epoch=True, max_epochs=epochs),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
            default_hooks=dict(checkpoint=dict(type='CheckpointHook')),
            custom_hooks=[ema],
            default_scope='mmpose',
            experiment_name=f'{folder}{len(runs)}',
            randomness=dict(seed=0),
            **kwargs,
        )
        runs.append(runner)
        runner.train()
        return runner

    runs = []
    yield train
    DefaultScope.get_instance('mmpose', scope_name='mmpose')


def checkpoint(runner, epoch):
    path = f'{runner.work_dir}/epoch_{epoch}.pth'
    return torch.load(path, weights_only=True)


def test_training_resumes_as_if_uninterrupted(run, tmp_path):
    """Also with EMA, of the weights or of the statistics too."""
    # stage 2 starts from a plain model's checkpoint
    weights = str(tmp_path / 'start.pth')
    torch.save(dict(state_dict=tiny.plain().state_dict()), weights)
    models = [tiny.rmpe(seed=s, parallel=dict()) for s in (1, 1, 3)]
    straight = run(models[0], 2, 'straight', load_from=weights)
    first = run(models[1], 1, 'halves', load_from=weights)
    saved = checkpoint(first, 1)
    # Saved are the averaged weights; the trained ones are beside them. The
    # twin is the pretrained SPPE in both.
    twin = tiny.plain().state_dict()
    for name, value in twin.items():
        assert torch.equal(saved['state_dict'][BRANCH + name], value), name
    resumed = run(models[2], 2, 'halves', resume=True)
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
