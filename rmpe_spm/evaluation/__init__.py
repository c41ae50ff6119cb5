"""Pose NMS and metrics."""

from . import metrics  # noqa: F401
from .parametric_pose_nms import ParametricPoseNMS

__all__ = ['ParametricPoseNMS']
