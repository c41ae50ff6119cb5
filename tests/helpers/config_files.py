"""Configs of the repository, each parsed once in a process."""

from copy import deepcopy
from functools import cache
from pathlib import Path

from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[2]

_parse = cache(Config.fromfile)


def read_config(path):
    """A config, to be changed at will.

    Args:
        path (str | Path): Its path, absolute or from the repository's root.
    """
    return deepcopy(_parse(ROOT / path))
