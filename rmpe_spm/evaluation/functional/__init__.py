"""Pure functions behind the pose NMS components and the metrics."""

from .pose_nms_file import load_rule, save_rule
from .pose_nms_result import PoseNMSResult
from .pose_nms_rule import PoseNMSRule, make_rule
from .pose_similarity import pose_similarity

__all__ = [
    'PoseNMSResult',
    'PoseNMSRule',
    'load_rule',
    'make_rule',
    'pose_similarity',
    'save_rule',
]
