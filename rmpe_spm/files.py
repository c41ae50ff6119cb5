"""Reading JSON, files that are never left half written, and digests."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from .errors import ConfigError


def read_json(path: str | os.PathLike) -> Any:
    """Read a JSON file, UTF-8 without byte order mark.

    Raises:
        FileNotFoundError: There is no such file.
        ConfigError: It is something else. Both messages name the file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'there is no file {path}')
    try:
        return json.loads(path.read_text('utf-8'))
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f'{path} is not a JSON file ({error}): it is damaged or cut '
            'short, fetch or make it again, as UTF-8 without byte order mark'
        ) from error


def write_atomically(
    path: str | os.PathLike,
    content: str | bytes | Callable[[BinaryIO], Any],
) -> Path:
    """Write a file that is there as a whole, or as it was before.

    The content goes to a temporary file beside it, which takes the file's
    place in one step once it is on the disk. A symbolic link stays one.

    A checkpoint is written so::

        write_atomically('net.pth', lambda file: torch.save(net, file))

    ``content`` is text (written as UTF-8), bytes, or what writes to an open
    binary file.
    """
    target = Path(path).resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f'.{target.name}.{os.getpid()}.part')
    try:
        with part.open('wb') as file:
            if callable(content):
                content(file)
            else:
                file.write(
                    content.encode() if isinstance(content, str) else content
                )
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
    return Path(path)


def digest(content: str | bytes, digits: int = 16) -> str:
    """Give the first digits of the SHA-256 of a text or of bytes."""
    data = content.encode() if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()[:digits]


def digest_file(path: str | os.PathLike, digits: int = 16) -> str:
    """Give the first digits of the SHA-256 of a file, read in blocks."""
    sha256 = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            sha256.update(block)
    return sha256.hexdigest()[:digits]
