"""Pose NMS and metrics."""

from . import metrics  # noqa: F401
from .nearby_joints_nms import NearbyJointsNMS
from .oks_nms import OKSNMS
from .parametric_pose_nms import ParametricPoseNMS
from .soft_oks_nms import SoftOKSNMS

__all__ = ['NearbyJointsNMS', 'OKSNMS', 'ParametricPoseNMS', 'SoftOKSNMS']
