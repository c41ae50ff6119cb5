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


def test_dist_train(run, repo_root):
    result = run('dist_train.sh', 'c.py', '4', '--work-dir', 'a b', PORT='7')
    lines = result.stdout.splitlines()
    assert lines[:3] == ['python', '-m', 'torch.distributed.run']
    assert {'--nproc_per_node=4', '--nnodes=1', '--master_port=7'} <= set(
        lines
    )
    tool = str(repo_root / 'tools' / 'train.py')
    at = lines.index(tool)
    assert lines[at + 1 :] == [
        'c.py',
        '--launcher',
        'pytorch',
        '--work-dir',
        'a b',
        f'{repo_root}/tools/..',
    ]


def test_dist_test(run, repo_root):
    result = run('dist_test.sh', 'c.py', 'w.pth', '2', PYTHONPATH='/there')
    lines = result.stdout.splitlines()
    assert '--nproc_per_node=2' in lines
    at = lines.index(str(repo_root / 'tools' / 'test.py'))
    assert lines[at + 1 : at + 5] == [
        'c.py',
        'w.pth',
        '--launcher',
        'pytorch',
    ]
    assert lines[-1] == f'{repo_root}/tools/..:/there'


def test_dist_leaderboard(run, repo_root):
    result = run('dist_leaderboard.sh', '2', 'c.py', 'a b', '--rerun')
    lines = result.stdout.splitlines()
    assert '--nproc_per_node=2' in lines
    at = lines.index(str(repo_root / 'tools' / 'leaderboard.py'))
    assert lines[at + 1 : -1] == [
        'c.py',
        'a b',
        '--rerun',
        '--launcher',
        'pytorch',
    ]


@pytest.mark.parametrize('tool', ['train', 'test'])
def test_slurm(run, repo_root, tool):
    result = run(
        f'slurm_{tool}.sh',
        *('part', 'job', 'c.py', 'fourth', '--amp'),
        GPUS='16',
        SRUN_ARGS='--quotatype=spot  --nodes=2',
    )
    lines = result.stdout.splitlines()
    assert lines[0] == 'srun'
    assert {
        '--partition=part',
        '--job-name=job',
        '--gres=gpu:8',
        '--ntasks=16',
        '--ntasks-per-node=8',
        '--cpus-per-task=5',
        '--kill-on-bad-exit=1',
        '--quotatype=spot',
        '--nodes=2',
    } <= set(lines)
    at = lines.index(str(repo_root / 'tools' / f'{tool}.py'))
    fourth = {'train': '--work-dir=fourth', 'test': 'fourth'}[tool]
    assert lines[at + 1 : -1] == ['c.py', fourth, '--launcher=slurm', '--amp']


def test_slurm_leaderboard(run, repo_root):
    result = run(
        'slurm_leaderboard.sh',
        *('part', 'job', 'c.py', 'a b', '--rerun'),
        GPUS='16',
        GPUS_PER_NODE='4',
        SRUN_ARGS='--quotatype=spot  --nodes=4',
    )
    lines = result.stdout.splitlines()
    assert lines[0] == 'srun'
    assert {
        '--partition=part',
        '--job-name=job',
        '--gres=gpu:4',
        '--ntasks=16',
        '--ntasks-per-node=4',
        '--cpus-per-task=5',
        '--kill-on-bad-exit=1',
        '--quotatype=spot',
        '--nodes=4',
    } <= set(lines)
    at = lines.index(str(repo_root / 'tools' / 'leaderboard.py'))
    assert lines[at + 1 : -1] == ['c.py', 'a b', '--rerun', '--launcher=slurm']


@pytest.mark.parametrize(
    'script',
    [
        'dist_train.sh',
        'dist_test.sh',
        'dist_leaderboard.sh',
        'slurm_train.sh',
        'slurm_test.sh',
        'slurm_leaderboard.sh',
    ],
)
def test_too_few_arguments(run, script):
    result = run(script, 'one')
    assert result.returncode == 2
    assert result.stderr.startswith('usage: ')
