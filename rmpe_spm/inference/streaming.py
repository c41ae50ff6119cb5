"""Reading ahead in a thread, and batches across pictures."""

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from .inputs import Picture

# Pictures that wait, at each place where some do, hold no more than this.
MAX_BYTES = 256 << 20

Item = tuple[Picture, Iterable[Any]]


def read_ahead(items: Iterable[Any], max_items: int) -> Iterator[Any]:
    """Iterate in a thread, ahead of who takes the items.

    At most ``max_items`` wait, fewer large pictures. The thread ends with this
    generator; what iterating raises is raised here.
    """
    queue = _Queue(max_items)
    thread = threading.Thread(target=queue.fill, args=(items,), daemon=True)
    thread.start()
    try:
        yield from iter(queue.take, _END)
    finally:
        queue.stop()
        thread.join()


_END = object()


class _Queue:
    """A queue bounded in items and in bytes, which can be stopped."""

    def __init__(self, max_items: int) -> None:
        self._max_items = max_items
        self._items: deque[tuple[Any, int]] = deque()
        self._bytes = 0
        self._stopped = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()

    def fill(self, items: Iterable[Any]) -> None:
        try:
            for item in items:
                if not self._put(item):
                    return
        except BaseException as error:
            self._error = error
        self._put(_END)

    def _put(self, item: Any) -> bool:
        size = 0 if item is _END else _num_bytes(item)
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self._stopped
                    or not self._items
                    or (
                        len(self._items) < self._max_items
                        and self._bytes + size <= MAX_BYTES
                    )
                )
            )
            self._items.append((item, size))
            self._bytes += size
            self._changed.notify_all()
            return not self._stopped

    def take(self) -> Any:
        with self._changed:
            self._changed.wait_for(lambda: self._items)
            item, size = self._items.popleft()
            self._bytes -= size
            self._changed.notify_all()
        if item is _END and self._error is not None:
            raise self._error
        return item

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()


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
            num_bytes = sum(map(_num_bytes, jobs))
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


def _num_bytes(item: Picture | tuple) -> int:
    picture = item[0] if isinstance(item, tuple) else item
    return picture.image.nbytes
