"""Pure functions behind the codec: roots, targets, peaks, poses."""

from .displacement_targets import displacement_maps
from .heatmap_targets import gaussian_maps, heatmap_weights
from .map_peaks import (
    find_joint_peaks,
    find_root_peaks,
    sample_keypoint_scores,
    snap_to_peaks,
)
from .option_checks import check_options, resolve_normalizer
from .pose_reading import (
    gather_at_cells,
    read_parent_located,
    read_poses,
    read_root_located,
    read_snapped_poses,
)
from .root_location import instance_diagonals, instance_roots
from .windows import window_mask

__all__ = [
    'check_options',
    'displacement_maps',
    'find_joint_peaks',
    'find_root_peaks',
    'gather_at_cells',
    'gaussian_maps',
    'heatmap_weights',
    'instance_diagonals',
    'instance_roots',
    'read_parent_located',
    'read_poses',
    'read_root_located',
    'read_snapped_poses',
    'resolve_normalizer',
    'sample_keypoint_scores',
    'snap_to_peaks',
    'window_mask',
]
