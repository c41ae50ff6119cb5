import os
import socket
import subprocess
import sys

import pytest


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
