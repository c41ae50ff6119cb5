"""Runner extensions: checkpoint safety and hooks."""

from . import hooks  # noqa: F401
