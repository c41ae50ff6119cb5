"""Metrics."""

from .pose_nms_coco_metric import PoseNMSCocoMetric

__all__ = ['PoseNMSCocoMetric']
