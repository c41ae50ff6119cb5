"""Fixtures shared by the whole suite."""

import os
from pathlib import Path

import pytest
import torch

os.environ.setdefault('MPLBACKEND', 'Agg')

# Before mmpose: with mmcv-lite this is what lets mmpose import.
import rmpe_spm  # noqa: E402, F401

torch.set_num_threads(int(os.environ.get('RMPE_SPM_TEST_THREADS', '1')))


@pytest.fixture(scope='session', autouse=True)
def _registered():
    """Register mmpose's and our components in mmpose's default scope."""
    from mmpose.utils import register_all_modules

    register_all_modules(init_default_scope=True)


@pytest.fixture(scope='session')
def repo_root() -> Path:
    """The root of the checkout."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope='session')
def shared_dir(repo_root) -> Path:
    """The folder of real data beside the checkout; skips without it."""
    path = Path(os.environ.get('RMPE_SPM_SHARED', repo_root.parent / 'shared'))
    if not (path / 'data').is_dir():
        pytest.skip(f'the real data is not beside this checkout ({path})')
    return path
