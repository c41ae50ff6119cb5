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

    Args:
        items (iterable): Pictures, or tuples that begin with one.
        max_items (int): How many may wait; large pictures fewer.

    Yields:
        Any: The items. What iterating raises is raised here. The thread ends
        with this generator.
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
    """Run a network on full batches, across pictures.

    A picture has any number of samples. Those of one shape share a batch,
    so that nothing is padded and every result is as from a batch of one.

    Args:
        items (iterable): Pictures with their samples.
        forward (callable): Takes a list of samples of one shape, returns
            as many results.
        shape_of (callable): Gives the shape of a sample.
        batch_size (int): How many samples go together, and how many
            pictures may wait for others.

    Yields:
        tuple: Each picture with its results, in the order of the pictures.
    """
    waiting: dict[Any, list[tuple[_Job, int, Any]]] = defaultdict(list)
    jobs: deque[_Job] = deque()

    def run(shape: Any) -> None:
        entries = waiting.pop(shape)
        results = forward([sample for _, _, sample in entries])
        for (job, place, _), result in zip(entries, results, strict=True):
            job.results[place] = result

    def finished(max_waiting: int) -> Iterator[tuple[Picture, list]]:
        while jobs and (
            not jobs[0].missing
            or len(jobs) > max_waiting
            or sum(_num_bytes(job.picture) for job in jobs) > MAX_BYTES
        ):
            for shape in jobs[0].missing:
                run(shape)
            job = jobs.popleft()
            yield job.picture, job.results

    for picture, samples in items:
        job = _Job(picture)
        jobs.append(job)
        for sample in samples:
            shape = shape_of(sample)
            waiting[shape].append((job, job.add(shape), sample))
            if len(waiting[shape]) == batch_size:
                run(shape)
        yield from finished(batch_size - 1)
    yield from finished(0)


class _Job:
    """A picture whose samples wait for the network."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self.results: list = []
        self._shapes: list = []

    def add(self, shape: Any) -> int:
        self.results.append(None)
        self._shapes.append(shape)
        return len(self.results) - 1

    @property
    def missing(self) -> set:
        """The shapes of the samples that were not run yet."""
        return {
            shape
            for shape, result in zip(self._shapes, self.results, strict=True)
            if result is None
        }


def _num_bytes(item: Picture | tuple) -> int:
    picture = item[0] if isinstance(item, tuple) else item
    return picture.image.nbytes
