"""Data sets, transforms and the generator of the embedded data set."""

from . import datasets, transforms  # noqa: F401
