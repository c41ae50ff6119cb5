"""How many processes may work at a time."""

import os


def usable_cores() -> int:
    """Return the cores that this process may use.

    A scheduler or a container often gives fewer than the machine has.
    """
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
