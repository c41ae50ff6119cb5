"""Settings of configs in a form in which equal ones are equal."""

from collections.abc import Mapping
from typing import Any


def plain_setting(value: Any) -> Any:
    """Give lists for tuples and dicts for mappings, at any depth.

    Args:
        value (Any): A setting of a config.

    Returns:
        Any: The same in plain containers; they share no container with it.
    """
    if isinstance(value, list | tuple):
        return [plain_setting(item) for item in value]
    if isinstance(value, Mapping):
        return {key: plain_setting(item) for key, item in value.items()}
    return value
