"""What options of the codec can be."""

from collections.abc import Mapping
from numbers import Number

import numpy as np

from ..kinematics import KinematicTree
from .root_location import check_root_type

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
    """Refuse options that :class:`~rmpe_spm.codecs.HierarchicalSPRCodec`
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
