import pytest
import torch
from mmengine.runner import Runner
from mmpose.models import build_pose_estimator

from .conftest import as_spm


def weights(path):
    return torch.load(path, weights_only=True)['state_dict']


def as_rmpe(cfg):
    """Turn the small top-down config into RMPE's second stage."""
    steps = cfg.train_dataloader.dataset.pipeline
    # boxes that stay as they are: nothing is random
    steps.insert(1, dict(type='PGPGTransform', mode='jitter', prob=0.0))
    steps.insert(
        -1, dict(type='GenerateCenterTarget', encoder=steps[-2]['encoder'])
    )
    cfg.model = dict(
        type='ParallelSPPE',
        sppe=cfg.model,
        localizer=dict(cfg.model.backbone),
        sstn=dict(type='SSTNHead', in_channels=8, transform='scale_shift'),
        parallel=dict(),
    )


@pytest.mark.parametrize('change', [None, as_rmpe, as_spm])
def test_two_processes_train_as_one(tiny_config, tmp_path, run_dist, change):
    """Same global batches, same weights; batch-norm statistics frozen."""
    tiny_config.model.backbone.norm_eval = True
    tiny_config.train_dataloader.sampler.shuffle = False
    # Enough steps, large enough, that the weights move far beyond rounding.
    tiny_config.train_cfg.max_epochs = 2
    tiny_config.optim_wrapper.optimizer = dict(
        type='SGD', lr=0.5, momentum=0.9
    )
    if change is not None:
        change(tiny_config)
    tiny_config.val_cfg = None
    tiny_config.val_dataloader = tiny_config.val_evaluator = None
    # The backbone's last layers are not asked for: they get no gradient.
    tiny_config.find_unused_parameters = True
    del tiny_config.default_hooks.checkpoint['save_best']
    tiny_config.log_level = 'ERROR'
    config = tmp_path / 'tiny.py'
    start = tmp_path / 'start.pth'
    torch.manual_seed(0)
    model = build_pose_estimator(tiny_config.model)
    model.init_weights()
    torch.save({'state_dict': model.state_dict()}, start)

    tiny_config.load_from = str(start)
    tiny_config.train_dataloader.batch_size = 2
    tiny_config.dump(config)
    result = run_dist(
        'dist_train.sh', config, '2', '--work-dir', tmp_path / 'two'
    )
    assert result.returncode == 0, result.stderr[-3000:]
    two = weights(tmp_path / 'two' / 'epoch_2.pth')

    tiny_config.train_dataloader.batch_size = 4
    tiny_config.work_dir = str(tmp_path / 'one')
    Runner.from_cfg(tiny_config).train()
    one = weights(tmp_path / 'one' / 'epoch_2.pth')

    begin = weights(start)
    assert two.keys() == one.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-4, atol=1e-6)
    # the parallel branch is made in training
    moved = [(one[name] - begin[name]).abs().max() for name in begin]
    assert max(moved) > 1e-2
