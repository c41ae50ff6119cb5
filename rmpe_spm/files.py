"""Reading JSON, files that are never left half written, and digests."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from .errors import ConfigError


def read_json(path: str | os.PathLike) -> Any:
    """Read a JSON file.

    Args:
        path (str | PathLike): The file.

    Returns:
        Any: Its content.

    Raises:
        FileNotFoundError: There is no such file.
        ConfigError: The file is no JSON in UTF-8, which other readers, such
            as mmpose's, want without a byte order mark. Both messages name
            the file.
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
    place in one step once it is on the disk. Where that fails, nothing of it
    is left. A symbolic link stays one; the file that it names is replaced.

    A checkpoint is written so::

        write_atomically('net.pth', lambda file: torch.save(net, file))

    Args:
        path (str | PathLike): The file; its folder is made if missing.
        content (str | bytes | callable): Text (written as UTF-8), bytes, or
            what writes to an open binary file.

    Returns:
        Path: The file.
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
    """Give the SHA-256 of a text or of bytes.

    Args:
        content (str | bytes): The content; text counts as UTF-8.
        digits (int): How many of the 64 hexadecimal digits. Defaults to 16.

    Returns:
        str: The first digits.
    """
    data = content.encode() if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()[:digits]


def digest_file(path: str | os.PathLike, digits: int = 16) -> str:
    """Give the SHA-256 of a file's content, as ``sha256sum`` does.

    Args:
        path (str | PathLike): The file; it is read in blocks.
        digits (int): How many of the 64 hexadecimal digits. Defaults to 16.

    Returns:
        str: The first digits.
    """
    sha256 = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            sha256.update(block)
    return sha256.hexdigest()[:digits]
