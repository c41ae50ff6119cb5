"""Reading ahead in a thread, and batches across pictures."""

import queue
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from .inputs import Picture

AHEAD = 4  # items that wait for who takes them
MAX_BYTES = 256 << 20  # that pictures hold which wait for a full batch

Item = tuple[Picture, Iterable[Any]]


def read_ahead(items: Iterable[Any]) -> Iterator[Any]:
    """Iterate in a thread, ahead of who takes the items.

    The thread ends with this generator; what iterating raises is raised here.
    """
    waiting: queue.Queue = queue.Queue(AHEAD)
    stopped, end, errors = threading.Event(), object(), []

    def fill() -> None:
        try:
            for item in items:
                waiting.put(item)
                if stopped.is_set():
                    return
        except BaseException as error:
            errors.append(error)
        waiting.put(end)

    thread = threading.Thread(target=fill, daemon=True)
    thread.start()
    try:
        yield from iter(waiting.get, end)
        if errors:
            raise errors[0]
    finally:
        stopped.set()
        while thread.is_alive():  # it may wait for a place
            with suppress(queue.Empty):
                waiting.get(timeout=0.01)


def run_batches(
    items: Iterable[Item],
    forward: Callable[[list], Sequence],
    shape_of: Callable[[Any], Any],
    batch_size: int,
) -> Iterator[tuple[Picture, list]]:
    """Run a network on full batches, across pictures; yield in their order.

    Samples of one shape share a batch, so that nothing is padded and every
    result is as from a batch of one.
    """
    # results begin as None; a shape's samples know their place in them
    jobs: deque[tuple[Picture, list]] = deque()
    waiting: dict[Any, list[tuple[list, int, Any]]] = defaultdict(list)

    def run(shape: Any) -> None:
        entries = waiting.pop(shape)
        found = forward([sample for *_, sample in entries])
        for (results, place, _), result in zip(entries, found, strict=True):
            results[place] = result

    def finished(max_waiting: int) -> Iterator[tuple[Picture, list]]:
        while jobs:
            shapes = [
                shape
                for shape, entries in waiting.items()
                if any(results is jobs[0][1] for results, *_ in entries)
            ]
            num_bytes = sum(picture.image.nbytes for picture, _ in jobs)
            if shapes and len(jobs) <= max_waiting and num_bytes <= MAX_BYTES:
                return
            for shape in shapes:
                run(shape)
            yield jobs.popleft()

    for picture, samples in items:
        results: list = []
        jobs.append((picture, results))
        for sample in samples:
            shape = shape_of(sample)
            waiting[shape].append((results, len(results), sample))
            results.append(None)
            if len(waiting[shape]) == batch_size:
                run(shape)
        yield from finished(batch_size - 1)
    yield from finished(0)
