"""Networks: backbones, necks, heads, losses and pose estimators."""

from . import (  # noqa: F401
    backbones,
    data_preprocessors,
    heads,
    losses,
    necks,
    pose_estimators,
)
