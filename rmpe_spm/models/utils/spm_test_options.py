"""What ``test_cfg`` may ask of SPM's head."""

import warnings
from collections.abc import Mapping
from typing import Any

# of SPMHead and of the estimators around it, and those of mmpose's DEKR that
# change nothing here
KNOWN_OPTIONS = frozenset(
    (
        'align_corners',
        'flip_test',
        'max_num_people',
        'multiscale_test',
        'nms',
        'nms_dist_thr',
        'nms_joints_thr',
        'output_heatmaps',
        'output_keypoint_indices',
        'pose_size_range',
        'restore_heatmap_size',
        'shift_heatmap',
        'snap_distance',
        'snap_thr',
    )
)


def pose_nms_config(test_cfg: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Read which pose NMS is asked for.

    Args:
        test_cfg (Mapping): The options: ``nms``, or ``nms_dist_thr`` above 0
            and ``nms_joints_thr``, mmpose's names for the nearby joints NMS.

    Returns:
        Mapping | None: Its config for ``TASK_UTILS``, None for no NMS.
    """
    config = test_cfg.get('nms', None)
    dist_thr = test_cfg.get('nms_dist_thr', 0)
    if config is None and dist_thr > 0:
        config = dict(
            type='NearbyJointsNMS',
            dist_thr=dist_thr,
            num_nearby_joints=test_cfg.get('nms_joints_thr', None),
        )
    return config


def check_test_options(
    test_cfg: Mapping[str, Any], decode_max_instances: int
) -> None:
    """Refuse options that contradict each other, and tell of unknown ones.

    Args:
        test_cfg (Mapping): The options.
        decode_max_instances (int): The most poses that the codec decodes.

    Raises:
        ValueError: If the options can't be had together.
    """
    unknown = sorted(set(test_cfg) - KNOWN_OPTIONS)
    if unknown:
        warnings.warn(
            f'SPMHead: test_cfg has {", ".join(unknown)}, which it does not '
            f'know; it knows {", ".join(sorted(KNOWN_OPTIONS))}',
            stacklevel=3,
        )
    multiscale = test_cfg.get('multiscale_test', False)
    wanted = test_cfg.get('max_num_people', 0)
    if wanted > decode_max_instances and not multiscale:
        raise ValueError(
            f'SPMHead: test_cfg.max_num_people={wanted}, but the codec '
            f'decodes no more than decode_max_instances='
            f'{decode_max_instances}: raise that too'
        )
    if test_cfg.get('pose_size_range') is None:
        return
    if not multiscale:
        raise ValueError(
            'SPMHead: test_cfg.pose_size_range needs multiscale_test=True'
        )
    if pose_nms_config(test_cfg) is None:
        raise ValueError(
            'SPMHead: test_cfg.pose_size_range may find a person in '
            'several sizes: set `nms_dist_thr` (or `nms`) too'
        )
