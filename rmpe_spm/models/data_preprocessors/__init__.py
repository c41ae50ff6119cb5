"""What images go through on the device before the network."""

from .strict_pose_data_preprocessor import StrictPoseDataPreprocessor

__all__ = ['StrictPoseDataPreprocessor']
