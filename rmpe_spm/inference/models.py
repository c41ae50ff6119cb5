"""The models that ship with the package, by name."""

from pathlib import Path
from typing import Any

from ..errors import ConfigError

PACKAGE = Path(__file__).resolve().parents[1]

# Filled as weights land: for each name "about" (a line for ``rmpe-spm
# models``), "config" and "weights" (relative to PACKAGE), and, where it has
# some, "boxes_from" and "nms" as PoseInferencer takes them.
MODELS: dict[str, dict[str, Any]] = {}


def find_model(name: str) -> dict[str, Any]:
    """Look up a shipped model.

    Args:
        name (str): Its name.

    Returns:
        dict: Its entry of :data:`MODELS`.

    Raises:
        ConfigError: There is none of this name.
    """
    if name in MODELS:
        return MODELS[name]
    known = ', '.join(sorted(MODELS)) or 'none yet'
    raise ConfigError(
        f'no model {name!r} ships with the package (those that do: {known}): '
        'choose one of them, or give config and weights'
    )
