"""Pose estimators."""

from .multiscale_bottomup_pose_estimator import MultiscaleBottomupPoseEstimator
from .parallel_sppe import ParallelSPPE

__all__ = ['MultiscaleBottomupPoseEstimator', 'ParallelSPPE']
