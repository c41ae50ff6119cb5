"""Results to files and to the screen while they come."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import cv2

from ..errors import ConfigError
from .drawing import OverlayWriter, PoseDrawer
from .formats import ResultWriter, UniqueNames
from .inputs import Picture
from .results import PoseResult

_MAX_WAITING_WRITES = 16


def write_results(
    results: Iterable[tuple[Picture, PoseResult]],
    writer: ResultWriter | None,
    overlays: OverlayWriter | None,
) -> Iterator[tuple[Picture, PoseResult]]:
    """Write results in a thread while the next are predicted.

    What was yielded is in the files once this generator ends, also early.

    Args:
        results (iterable): Pictures with their results.
        writer (ResultWriter, optional): Writes the poses.
        overlays (OverlayWriter, optional): Writes the drawn poses.

    Yields:
        tuple: Each picture with its result.

    Raises:
        ConfigError: A file cannot be written.
    """
    names = UniqueNames()

    def write(picture: Picture, result: PoseResult) -> None:
        name = names(result)
        try:
            if writer is not None:
                writer.write(result, name)
            if overlays is not None:
                overlays.write(picture, result, name)
        except OSError as error:
            raise ConfigError(
                f'cannot write to the results: {error}'
            ) from error

    try:
        with _BackgroundWrites(write) as writes:
            for picture, result in results:
                writes.add(picture, result)
                yield picture, result
    finally:
        if overlays is not None:
            overlays.close()


def show_results(
    results: Iterable[tuple[Picture, PoseResult]], drawer: PoseDrawer
) -> Iterator[tuple[Picture, PoseResult]]:
    """Show each drawn picture in a window until a key is pressed.

    Frames go on by themselves; Escape ends it.

    Args:
        results (iterable): Pictures with their results.
        drawer (PoseDrawer): Draws them.

    Yields:
        tuple: Each picture with its result.

    Raises:
        ConfigError: This OpenCV has no windows, or there is no screen.
    """
    escape = 27
    try:
        for picture, result in results:
            cv2.imshow('rmpe-spm', drawer.draw(picture.image, result))
            yield picture, result
            wait = 0 if picture.frame is None else 1
            if cv2.waitKey(wait) & 0xFF == escape:
                break
        cv2.destroyAllWindows()
    except cv2.error as error:
        raise ConfigError(
            'nothing can be shown: it takes a screen and OpenCV with windows '
            '(opencv-python in the place of opencv-python-headless). '
            'vis_out_dir= writes the drawn pictures'
        ) from error


class _BackgroundWrites:
    """Write in a thread, a bounded number of results behind.

    Args:
        write (callable): Writes a result.
    """

    def __init__(self, write: Callable[..., None]) -> None:
        self._write = write
        self._pool = ThreadPoolExecutor(1)
        self._waiting: list[Future] = []

    def __enter__(self) -> '_BackgroundWrites':
        return self

    def add(self, *result: Any) -> None:
        """Write a result soon; errors of earlier ones are raised here."""
        self._waiting.append(self._pool.submit(self._write, *result))
        limit = _MAX_WAITING_WRITES
        while self._waiting and (
            self._waiting[0].done() or len(self._waiting) > limit
        ):
            self._waiting[0].result()
            self._waiting.pop(0)

    def __exit__(self, *error: Any) -> None:
        self._pool.shutdown()
        for each in self._waiting:
            each.result()
