import ctypes
import platform
import subprocess
import sys

import pytest

from rmpe_spm.engine.hooks import ReuseMemoryHook

# the page faults of tensors that come and go, before and after the hook
SCRIPT = """
import resource
import torch
from rmpe_spm.engine.hooks import ReuseMemoryHook

def count_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        tensors = [torch.ones(2**size, 2**12) for size in range(8, 14)]
        del tensors
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

count_faults()
default = count_faults()
ReuseMemoryHook().before_run(None)
count_faults()
print(default, count_faults())
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != 'glibc', reason='only glibc has mallopt'
)
def test_freed_memory_is_used_again():
    result = subprocess.run(
        [sys.executable, '-c', SCRIPT],
        capture_output=True,
        text=True,
        check=True,
    )
    default, reused = map(int, result.stdout.split()[-2:])
    assert default > 500
    assert reused < default / 10


def test_without_glibc_nothing_happens(monkeypatch):
    monkeypatch.setattr(platform, 'libc_ver', lambda: ('', ''))
    monkeypatch.setattr(ctypes, 'CDLL', None)
    ReuseMemoryHook().before_run(None)
