"""What options of the codec can be."""

import warnings
from collections.abc import Mapping
from numbers import Number
from typing import Any

import numpy as np

from .heatmaps import check_root_type
from .kinematics import KinematicTree

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
        'snap_to',
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


CHOICES = {
    'unit': ('cells', 'input'),
    'gaussian': ('paper', 'standard'),
    'window': ('disc', 'square'),
    'overlap': ('mean', 'nearest', 'smaller'),
    'displacement_location': ('root', 'parent'),
    'missing_parent': ('skip', 'ancestor'),
}


def check_options(
    options: Mapping, tree: KinematicTree, metric: np.ndarray
) -> None:
    """Refuse options that :class:`~rmpe_spm.HierarchicalSPRCodec`
    cannot follow.

    Args:
        options (Mapping): The codec's arguments by name; others are ignored.
        tree (KinematicTree): The hierarchy.
        metric (np.ndarray): Units of ``tau`` per cell (x, y).

    Raises:
        ValueError: An option has an unknown value, or one that leaves
            windows without a cell, or two do not go together.
    """
    for name, choices in CHOICES.items():
        if options[name] not in choices:
            raise ValueError(
                f'HierarchicalSPRCodec: {name} must be one of '
                f'{", ".join(map(repr, choices))}, got {options[name]!r}'
            )
    check_root_type(options['root_type'], tree)
    for name in ('sigma', 'tau', 'keypoint_sigma', 'decode_max_instances'):
        if not options[name] > 0:
            raise ValueError(
                f'HierarchicalSPRCodec: {name} must be positive, got '
                f'{options[name]}'
            )
    if not options['decode_thr'] >= 0:
        raise ValueError(
            'HierarchicalSPRCodec: decode_thr must not be negative, got '
            f'{options["decode_thr"]}'
        )
    if options['tau'] / metric.max() < 0.5**0.5:
        raise ValueError(
            f'HierarchicalSPRCodec: tau={options["tau"]} ({options["unit"]}) '
            'is less than half the diagonal of a heatmap cell, so that a '
            'window may hold no cell at all'
        )
    kernel = options['decode_nms_kernel']
    if kernel < 1 or kernel % 2 == 0:
        raise ValueError(
            'HierarchicalSPRCodec: decode_nms_kernel must be odd and '
            f'positive, got {kernel}'
        )
    if (
        options['generate_keypoint_offsets']
        and not (options['generate_keypoint_heatmaps'])
    ):
        raise ValueError(
            'HierarchicalSPRCodec: generate_keypoint_offsets refines peaks of '
            'keypoint heatmaps: set generate_keypoint_heatmaps=True too'
        )
    if options['generate_joint_offsets'] and (
        options['displacement_location'] != 'root'
    ):
        raise ValueError(
            'HierarchicalSPRCodec: generate_joint_offsets needs '
            "displacement_location='root'; displacements around parents do "
            'not add up at one cell'
        )


def resolve_normalizer(
    normalizer: str | float | None, heatmap_size: tuple[int, int]
) -> float:
    """The number Z that displacements are divided by.

    Args:
        normalizer (str | float | None): ``'diagonal'``, a number, or
            ``None`` for 1.
        heatmap_size (tuple[int, int]): Map size (W, H).

    Returns:
        float: Z, in cells.

    Raises:
        ValueError: It is none of these, or not positive.
    """
    if normalizer == 'diagonal':
        return float(np.hypot(*heatmap_size))
    if normalizer is None:
        return 1.0
    if isinstance(normalizer, Number) and normalizer > 0:
        return float(normalizer)
    raise ValueError(
        "HierarchicalSPRCodec: normalizer must be 'diagonal', a positive "
        f'number or None, got {normalizer!r}'
    )
