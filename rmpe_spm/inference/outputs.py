"""Results to files and to the screen while they come."""

from collections.abc import Iterable, Iterator

import cv2

from ..errors import ConfigError
from .drawing import OverlayWriter, PoseDrawer
from .formats import ResultWriter, UniqueNames
from .inputs import Picture
from .results import PoseResult
from .streaming import read_ahead

_AHEAD = 16


def write_results(
    results: Iterable[tuple[Picture, PoseResult]],
    writer: ResultWriter | None,
    overlays: OverlayWriter | None,
) -> Iterator[tuple[Picture, PoseResult]]:
    """Write results while the next are predicted in a thread; yield them.

    What was yielded is in the files, and videos can be played once this
    generator ends, also early.

    Raises:
        ConfigError: A file cannot be written.
    """
    name_of = UniqueNames()
    try:
        for picture, result in read_ahead(results, _AHEAD):
            name = name_of(result)
            try:
                # what the poses' file lists is drawn, also after Ctrl-C
                if overlays is not None:
                    overlays.write(picture, result, name)
                if writer is not None:
                    writer.write(result, name)
            except OSError as error:
                raise ConfigError(
                    f'cannot write to the results: {error}'
                ) from error
            yield picture, result
    finally:
        if overlays is not None:
            overlays.close()


def show_results(
    results: Iterable[tuple[Picture, PoseResult]], drawer: PoseDrawer
) -> Iterator[tuple[Picture, PoseResult]]:
    """Show each drawn picture in a window until a key is pressed; yield it.

    Frames go on by themselves; Escape ends it.

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
