"""What the source of a test's boxes is called beside every number."""

from pathlib import Path
from typing import Any

from mmpose.registry import TRANSFORMS

GROUND_TRUTH = 'ground truth'
SINGLE_STAGE = 'none (single stage)'
GROUPS = "group's place and scale (annotated)"


def detections_name(file: str, score_thr: float | None = None) -> str:
    """Name a file of detections.

    Args:
        file (str): The file.
        score_thr (float, optional): Detections with a lower score are left
            out. Defaults to None: all are used.

    Returns:
        str: The file's name, and the threshold.
    """
    chosen = '' if score_thr is None else f' (score >= {score_thr:g})'
    return f'detections {Path(file).name}{chosen}'


def box_source_name(dataset: Any) -> str:
    """Tell where the people's boxes of a built data set come from.

    Args:
        dataset (Dataset): One of mmpose's, or a wrapper of some.

    Returns:
        str: ``'ground truth'``, the detections, ``'none (single stage)'``,
        or that places and scales of groups are given; of several data sets
        all that they have.
    """
    if hasattr(dataset, 'datasets'):
        names = dict.fromkeys(map(box_source_name, dataset.datasets))
        return ' and '.join(names)
    if hasattr(dataset, 'dataset'):
        return box_source_name(dataset.dataset)
    mode = getattr(dataset, 'data_mode', None)
    if mode is None:
        return f'unknown ({type(dataset).__name__} does not tell)'
    if mode == 'bottomup':
        crop = TRANSFORMS.get('GroupAffine')
        steps = dataset.pipeline.transforms
        groups = any(isinstance(step, crop) for step in steps)
        return GROUPS if groups else SINGLE_STAGE
    if not dataset.bbox_file:
        return GROUND_TRUTH
    filters = dataset.filter_cfg or {}
    return detections_name(dataset.bbox_file, filters.get('bbox_score_thr'))
