"""Other outputs of a head than its own, without a change to the head."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


@contextmanager
def changed_forward(
    head: nn.Module, change: Callable[[Any], Any]
) -> Iterator[None]:
    """Make a head's ``forward`` return what a function makes of its outputs.

    Inside the context the head's own ``loss`` and ``predict``, which call
    ``forward`` and no hooks, see these outputs.

    Args:
        head (nn.Module): The head.
        change (Callable): From the outputs of a call to what takes their
            place.

    Yields:
        None: The context.
    """
    forward, shadowed = head.forward, head.__dict__.get('forward')
    head.forward = lambda *args, **kwargs: change(forward(*args, **kwargs))
    try:
        yield
    finally:
        if shadowed is None:
            head.__dict__.pop('forward', None)
        else:
            head.forward = shadowed
