import os
import socket
import subprocess
import sys

import pytest


@pytest.fixture
def tool(load_tool, request):
    """The tool that the test's file is named after."""
    name = request.module.__name__.rpartition('.')[2]
    return load_tool(name.removeprefix('test_'))


@pytest.fixture
def refusal(capsys):
    """Call a tool; what it says on the way to exit code 2."""

    def refusal(main, *arguments):
        with pytest.raises(SystemExit) as caught:
            main([str(each) for each in arguments])
        assert caught.value.code == 2
        said = capsys.readouterr().err
        assert 'Traceback' not in said
        return said

    return refusal


@pytest.fixture
def run_dist(repo_root):
    """Run a ``dist_*.sh`` of the tools, on the CPU; the finished process."""

    def run(script, *argv, **environ):
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            port = str(probe.getsockname()[1])
        environ = dict(
            OMP_NUM_THREADS='1',
            CUDA_VISIBLE_DEVICES='',
            PYTHON=sys.executable,
            PYTHONWARNINGS='ignore',
            PORT=port,
            **environ,
        )
        return subprocess.run(
            [repo_root / 'tools' / script, *argv],
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            timeout=600,
        )

    return run


def as_spm(cfg):
    """Turn the small config into SPM's; no transform is random."""
    codec = dict(type='HierarchicalSPRCodec', sigma=3, tau=3)
    codec.update(input_size=(64, 64), heatmap_size=(16, 16))
    affine = dict(type='BottomupRandomAffine', input_size=(64, 64))
    affine.update(shift_prob=0.0, scale_prob=0.0, rotate_prob=0.0)
    cfg.train_dataloader.dataset.update(
        data_mode='bottomup',
        pipeline=[
            dict(type='LoadImage'),
            affine,
            dict(type='GenerateTarget', encoder=codec),
            dict(type='BottomupGetHeatmapMask'),
            dict(type='PackPoseInputs'),
        ],
    )
    cfg.model.type = 'BottomupPoseEstimator'
    cfg.model.head = dict(
        type='SPMHead',
        in_channels=8,
        num_keypoints=17,
        norm_cfg=dict(type='GN', num_groups=4),
        decoder=codec,
    )
    cfg.optim_wrapper.optimizer.lr = 0.01
