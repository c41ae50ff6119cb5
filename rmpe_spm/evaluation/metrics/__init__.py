"""Metrics."""

from .mpii_multi_person_ap import MpiiMultiPersonAP
from .pose_nms_coco_metric import PoseNMSCocoMetric

__all__ = ['MpiiMultiPersonAP', 'PoseNMSCocoMetric']
