"""Pose NMS and metrics."""

from . import metrics  # noqa: F401
