"""Pure functions behind the codec: roots, target maps, decoding."""

from .pose_decoding import (
    find_joint_peaks,
    find_root_peaks,
    gather_at_cells,
    read_parent_located,
    read_root_located,
    sample_keypoint_scores,
    snap_to_peaks,
)
from .root_location import instance_diagonals, instance_roots
from .target_maps import displacement_maps, gaussian_maps, window_mask

__all__ = [
    'displacement_maps',
    'find_joint_peaks',
    'find_root_peaks',
    'gather_at_cells',
    'gaussian_maps',
    'instance_diagonals',
    'instance_roots',
    'read_parent_located',
    'read_root_located',
    'sample_keypoint_scores',
    'snap_to_peaks',
    'window_mask',
]
