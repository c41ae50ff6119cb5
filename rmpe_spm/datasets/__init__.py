"""Transforms and the generator of the embedded data set."""

from . import transforms  # noqa: F401
