"""Results that are kept, each under the key of its entry."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

RECORD = 'record.json'
RESULTS = 'results.keypoints.json'
MPII_MATCHES = 'mpii_matches.npz'
PICTURES = 'pictures'
UNFINISHED = 'unfinished.txt'
NO_REASON = 'no reason was written'


@dataclass
class Record:
    """What one evaluation found.

    Attributes:
        metrics (dict): What the config's evaluators returned.
        joints (dict): A measure of each joint.
        joint_measure (str): What that measure is.
        sigmas (list): The joints' sigmas; empty where AP is not by OKS.
        num_images (int): Images of the data set.
        num_poses (int, optional): Poses that were evaluated.
        parameters (int): Parameters of the model.
        gflops (float, optional): Of one forward pass; see
            :mod:`.model_cost`.
        gflops_input (str): What goes through in that pass.
        images_per_second (float, optional): See :mod:`.speed_meter`.
        peak_memory_mib (float, optional): Likewise.
        device (str): What it ran on.
        processes (int): How many processes shared the images.
        date (str): When, YYYY-MM-DD.
    """

    metrics: dict[str, float]
    joints: dict[str, float]
    joint_measure: str
    sigmas: list[float]
    num_images: int
    num_poses: int | None
    parameters: int
    gflops: float | None
    gflops_input: str
    images_per_second: float | None
    peak_memory_mib: float | None
    device: str
    processes: int
    date: str


class ResultCache:
    """A folder with a folder for every key.

    A result is there when its record is; the record is the last file to be
    written, and replaces nothing but in one step. So an interruption leaves
    a result, or none.

    Args:
        root (str | Path): The folder; it is made when it is written to.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def folder(self, key: str) -> Path:
        """The folder of a key.

        Args:
            key (str): The key.

        Returns:
            Path: The folder, which may not exist.
        """
        return self.root / key

    def find(self, key: str) -> Record | None:
        """Return what is kept under a key.

        Args:
            key (str): The key.

        Returns:
            Record | None: The record; None if there is none, or one that
            another version wrote or that was damaged.
        """
        path = self.folder(key) / RECORD
        try:
            content = json.loads(path.read_text(encoding='utf-8'))
            return Record(**content)
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def clear(self, key: str) -> Path:
        """Make an empty folder for a key.

        Args:
            key (str): The key.

        Returns:
            Path: The folder.
        """
        folder = self.folder(key)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def keep(self, key: str, record: Record) -> None:
        """Write a record; what belongs to it must be there.

        Args:
            key (str): The key.
            record (Record): The record.
        """
        text = json.dumps(asdict(record), indent=1)
        write_atomically(self.folder(key) / RECORD, text)

    @contextmanager
    def attempt(self, key: str) -> Iterator[None]:
        """Leave a note in case this is the end of the process.

        The note is there while the body runs. It is taken away when the body
        comes to its end or is interrupted by Ctrl-C, and stays where an
        error leaves it or the process is killed.

        Args:
            key (str): The key; its folder must not be cleared within.
        """
        self.note(key, NO_REASON)
        try:
            yield
        except Exception as error:
            self.note(key, f'{type(error).__name__}: {error}')
            raise
        except KeyboardInterrupt:
            self._forget(key)
            raise
        self._forget(key)

    def _forget(self, key: str) -> None:
        (self.folder(key) / UNFINISHED).unlink(missing_ok=True)

    def note(self, key: str, reason: str) -> None:
        """Write why an attempt is about to end the process.

        The first reason stays: what ends the other processes follows of it.

        Args:
            key (str): The key.
            reason (str): The reason.
        """
        if self.unfinished(key) in ('', NO_REASON):
            write_atomically(self.folder(key) / UNFINISHED, reason)

    def unfinished(self, key: str) -> str:
        """Tell what the last attempt ended the process with.

        Args:
            key (str): The key.

        Returns:
            str: The note; empty if the last attempt came to an end, or if
            there was none.
        """
        try:
            path = self.folder(key) / UNFINISHED
            return path.read_text(encoding='utf-8')
        except (FileNotFoundError, ValueError):
            return ''

    def last_attempt(self, key: str) -> float:
        """Tell when the attempt was that left a note.

        Args:
            key (str): The key.

        Returns:
            float: Seconds, as of ``time.time``; 0 without a note.
        """
        try:
            return (self.folder(key) / UNFINISHED).stat().st_mtime
        except FileNotFoundError:
            return 0.0


def write_atomically(path: str | Path, content: str | bytes) -> None:
    """Write a file so that it is there whole, or as it was before.

    Args:
        path (str | Path): The file; its folder is made.
        content (str | bytes): Text, as UTF-8, or bytes.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f'{path.name}.{os.getpid()}.part')
    data = content.encode() if isinstance(content, str) else content
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def jsonable(values: dict[str, Any]) -> dict[str, Any]:
    """Numbers of numpy and torch as plain ones.

    Args:
        values (dict): Numbers by name.

    Returns:
        dict: The same; what is no number is left out.
    """
    plain = {}
    for name, value in values.items():
        try:
            plain[name] = float(value)
        except (TypeError, ValueError):
            continue
    return plain
