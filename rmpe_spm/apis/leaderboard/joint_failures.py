"""What becomes of all processes when one of them fails."""

import os
import sys
from datetime import timedelta
from typing import NoReturn

import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size
from torch import distributed

# How long a process that failed waits for the others to hear of it.
PATIENCE = timedelta(seconds=30)

_channel: list = []


def open_side_channel() -> None:
    """Make a way to meet beside that of the models, in all processes.

    One that failed may find the others within an operation of the models'
    processes, which nothing else can be mixed with.
    """
    if get_world_size() > 1 and not _channel:
        _channel.append(distributed.new_group(backend='gloo'))


def wait_for_all(failure: str) -> None:
    """Wait until all processes have come as far.

    One that failed ends if the others do not come in time.

    Args:
        failure (str): Why this one failed, empty if it did not.
    """
    if get_world_size() == 1:
        return
    arrived = distributed.all_reduce(
        torch.zeros(1), group=_channel[0], async_op=True
    )
    if not failure:
        arrived.wait()
        return
    try:
        arrived.wait(PATIENCE)
    except RuntimeError:
        end(failure)  # the others wait for this one elsewhere


def first_failure(failure: str) -> str:
    """Agree on why an entry failed.

    Args:
        failure (str): Why this process failed, empty if it did not.

    Returns:
        str: In all processes the first's reason, empty if none failed. Of
        one that did not happen in all of them the process is named.
    """
    found = all_gather_object(failure)
    for rank, reason in enumerate(found):
        if reason:
            alone = not all(found)
            return f'process {rank}: {reason}' if alone else reason
    return ''


def end(failure: str) -> NoReturn:
    """End this process at once, so that its launcher ends the others.

    An ordinary end would wait for what the processes have begun together.

    Args:
        failure (str): The reason, which is written.
    """
    print(f'process {get_rank()} failed: {failure}', file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)
