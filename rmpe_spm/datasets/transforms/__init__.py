"""Transforms of the training and test pipelines."""

from .bottomup_get_crowd_mask import BottomupGetCrowdMask
from .bottomup_instance_affine import BottomupInstanceAffine
from .generate_center_target import GenerateCenterTarget
from .group_affine import GroupAffine
from .load_image_or_skip import LoadImageOrSkip
from .multiscale_bottomup_resize import MultiscaleBottomupResize
from .pack_multiscale_pose_inputs import PackMultiscalePoseInputs
from .pgpg_transform import PGPGTransform
from .sanitize_instances import SanitizeInstances

__all__ = [
    'BottomupGetCrowdMask',
    'BottomupInstanceAffine',
    'GenerateCenterTarget',
    'GroupAffine',
    'LoadImageOrSkip',
    'MultiscaleBottomupResize',
    'PGPGTransform',
    'PackMultiscalePoseInputs',
    'SanitizeInstances',
]
