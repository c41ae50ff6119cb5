"""Transforms of the training and test pipelines."""

from .generate_center_target import GenerateCenterTarget
from .get_group_center_scale import GetGroupCenterScale
from .load_image_or_skip import LoadImageOrSkip
from .multiscale_bottomup_resize import MultiscaleBottomupResize
from .pack_multiscale_pose_inputs import PackMultiscalePoseInputs
from .pgpg_transform import PGPGTransform
from .sanitize_instances import SanitizeInstances

__all__ = [
    'GenerateCenterTarget',
    'GetGroupCenterScale',
    'LoadImageOrSkip',
    'MultiscaleBottomupResize',
    'PGPGTransform',
    'PackMultiscalePoseInputs',
    'SanitizeInstances',
]
