"""Networks: backbones, heads, losses and pose estimators."""

from . import backbones, heads, losses, pose_estimators  # noqa: F401
