"""What the C library does with memory that a training step frees."""

import ctypes
import platform

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpose.registry import HOOKS

# of glibc's malloc.h
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


@HOOKS.register_module()
class ReuseMemoryHook(Hook):
    """Let glibc keep freed memory for the next step in place of the system.

    By default much of a large tensor on a CPU is memory fresh from the
    system, which has to be cleared page by page, and goes back when the
    tensor does, many times a step. With this hook the process holds on to
    its peak until it ends, and so do the data loader's workers, which start
    later. No value changes. It pays for networks with many large tensors
    (DEKR's deformable convolutions; ``docs/installation.md`` has times), and
    without glibc it does nothing.
    """

    priority = 'VERY_HIGH'

    def before_run(self, runner: Runner) -> None:
        """Set it for the whole process, before anything runs."""
        if platform.libc_ver()[0] == 'glibc':
            libc = ctypes.CDLL(None)
            libc.mallopt(M_MMAP_MAX, 0)
            libc.mallopt(M_TRIM_THRESHOLD, -1)
