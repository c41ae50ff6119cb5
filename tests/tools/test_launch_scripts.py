import os
import subprocess

import pytest


@pytest.fixture
def run(repo_root, tmp_path):
    """Run a script where python and srun only print their arguments."""
    for name in ('python', 'srun'):
        fake = tmp_path / name
        fake.write_text(
            '#!/bin/sh\nprintf "%s\\n" "$(basename "$0")" "$@" "$PYTHONPATH"\n'
        )
        fake.chmod(0o755)

    def run(script, *argv, **environ):
        return subprocess.run(
            [repo_root / 'tools' / script, *argv],
            env={'PATH': f'{tmp_path}:{os.environ["PATH"]}', **environ},
            capture_output=True,
            text=True,
        )

    return run


TORCH = ['--launcher', 'pytorch']


@pytest.mark.parametrize(
    'tool, argv, passed_on',
    [
        (
            'train',
            ['c.py', '2', '--work-dir', 'a b'],
            ['c.py', *TORCH, '--work-dir', 'a b'],
        ),
        ('test', ['c.py', 'w.pth', '2'], ['c.py', 'w.pth', *TORCH]),
        ('leaderboard', ['2', 'c.py', 'a b'], ['c.py', 'a b', *TORCH]),
    ],
)
def test_processes_of_torch(run, repo_root, tool, argv, passed_on):
    result = run(f'dist_{tool}.sh', *argv, PORT='7', PYTHONPATH='/there')
    lines = result.stdout.splitlines()
    assert lines[:3] == ['python', '-m', 'torch.distributed.run']
    expected = {'--nproc_per_node=2', '--nnodes=1', '--master_port=7'}
    assert expected <= set(lines)
    at = lines.index(str(repo_root / 'tools' / f'{tool}.py'))
    assert lines[at + 1 : -1] == passed_on
    assert lines[-1] == f'{repo_root}/tools/..:/there'


@pytest.mark.parametrize(
    'tool, argv, passed_on',
    [
        (
            'train',
            ['c.py', 'work', '--amp'],
            ['c.py', '--work-dir=work', '--launcher=slurm', '--amp'],
        ),
        (
            'test',
            ['c.py', 'w.pth', '--amp'],
            ['c.py', 'w.pth', '--launcher=slurm', '--amp'],
        ),
        (
            'leaderboard',
            ['c.py', 'a b', '--rerun'],
            ['c.py', 'a b', '--rerun', '--launcher=slurm'],
        ),
    ],
)
@pytest.mark.parametrize('gpus', ['4', None])
def test_processes_of_slurm(run, repo_root, tool, argv, passed_on, gpus):
    environ = {'GPUS_PER_NODE': gpus} if gpus else {}
    result = run(
        f'slurm_{tool}.sh',
        *('part', 'job', *argv),
        GPUS='16',
        SRUN_ARGS='--quotatype=spot  --nodes=2',
        **environ,
    )
    lines = result.stdout.splitlines()
    assert lines[0] == 'srun'
    assert {
        '--partition=part',
        '--job-name=job',
        f'--gres=gpu:{gpus or 8}',
        '--ntasks=16',
        f'--ntasks-per-node={gpus or 8}',
        '--cpus-per-task=5',
        '--kill-on-bad-exit=1',
        '--quotatype=spot',
        '--nodes=2',
    } <= set(lines)
    at = lines.index(str(repo_root / 'tools' / f'{tool}.py'))
    assert lines[at + 1 : -1] == passed_on
    assert lines[-1] == f'{repo_root}/tools/..'


@pytest.mark.parametrize('kind', ['dist', 'slurm'])
@pytest.mark.parametrize('tool', ['train', 'test', 'leaderboard'])
def test_too_few_arguments(run, kind, tool):
    result = run(f'{kind}_{tool}.sh', 'one')
    assert result.returncode == 2
    assert result.stderr.startswith('usage: ')
