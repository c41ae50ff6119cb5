"""COCO's and CrowdPose's keypoint evaluation, equal to xtcocotools'."""

import os
from collections.abc import Sequence

import numpy as np

from ..oks import check_sigmas
from .ground_truth import PoseSet, make_pose_set, read_pose_set
from .keypoint_ap import ALL_AREAS, KeypointAP

NAMES = (
    'AP', 'AP .5', 'AP .75', 'AP (M)', 'AP (L)',
    'AR', 'AR .5', 'AR .75', 'AR (M)', 'AR (L)',
)  # fmt: skip
CROWD_NAMES = (
    'AP', 'AP .5', 'AP .75', 'AR', 'AR .5', 'AR .75',
    'AP(E)', 'AP(M)', 'AP(H)',
)  # fmt: skip

# crowd indices where CrowdPose's medium and hard images begin
_MEDIUM, _HARD = 0.2, 0.8

# square pixels, COCO's medium and large people
_AREAS = ALL_AREAS, (32.0**2, 96.0**2), (96.0**2, ALL_AREAS[1])


def evaluate_files(
    ann_file: str | os.PathLike,
    result_file: str | os.PathLike,
    sigmas: Sequence[float],
    iou_type: str = 'keypoints',
    use_area: bool = True,
) -> dict[str, float]:
    """Check and evaluate a file of results, see :func:`evaluate_keypoints`.

    Raises:
        FileNotFoundError: If a file doesn't exist.
        ConfigError: Names the first entry that can't be evaluated, or says
            that no pose has a joint of a positive score.
    """
    poses = read_pose_set(
        ann_file,
        result_file,
        len(sigmas),
        use_area,
        iou_type,
        all_listed=True,
    )
    return evaluate_poses(poses, sigmas)


def evaluate_keypoints(
    annotations: dict,
    results: list[dict],
    sigmas: Sequence[float],
    iou_type: str = 'keypoints',
    use_area: bool = True,
) -> dict[str, float]:
    """AP and AR of keypoint results, equal to those of xtcocotools.

    The data are not changed, and not checked. As in xtcocotools, the 20 poses
    of the highest score of each image count, poses without a joint of a
    positive score or of another category than the people do not, and a number
    is -1 where nobody is annotated whom it could be about.

    Args:
        annotations (dict): Content of COCO's annotation file.
        results (list[dict]): ``image_id``, ``category_id``, ``keypoints``
            (x, y, score of each joint), ``score`` and maybe ``bbox`` of
            each pose. May be empty.
        sigmas (sequence): Shape (K,). A float32 array is used as it is.
        iou_type (str): ``'keypoints'``, or ``'keypoints_crowd'`` for
            CrowdPose: people count by their ``num_keypoints``, and AP is also
            that of easy, medium and hard images (``crowdIndex`` below 0.2,
            below 0.8, and above), rounded to four places.
        use_area (bool): Whether to use the people's ``area``, or else 0.53
            of their box. Defaults to True.

    Returns:
        dict[str, float]: The numbers of :data:`NAMES` or
        :data:`CROWD_NAMES`.
    """
    poses = make_pose_set(
        annotations, results, len(sigmas), use_area, iou_type
    )
    return evaluate_poses(poses, sigmas)


def evaluate_poses(
    poses: PoseSet, sigmas: Sequence[float]
) -> dict[str, float]:
    """Compute the numbers of :func:`evaluate_keypoints`.

    They are CrowdPose's where the images have ``crowd_indices``.
    """
    check_sigmas(sigmas)
    whole = KeypointAP.of(poses, sigmas)
    crowd = poses.crowd_indices is not None
    curves = [whole.within(*limits) for limits in _AREAS[: 1 if crowd else 3]]
    curves = [part.curves() for part in curves]
    stats = []
    for values, *others in zip(*curves, strict=True):
        # at all thresholds, at OKS 0.5 and at 0.75
        parts = values, values[0], values[5], *others
        stats += [float(part.mean()) for part in parts]
    if not crowd:
        return dict(zip(NAMES, stats, strict=True))
    indices = np.array(poses.crowd_indices)
    parts = (indices >= _MEDIUM).astype(int) + (indices >= _HARD)
    for number in range(3):
        ap, chosen = -1.0, np.flatnonzero(parts == number)
        if len(chosen):
            part = KeypointAP.of(poses.subset(chosen), sigmas)
            ap = round(part(), 4)
        stats.append(ap)
    return dict(zip(CROWD_NAMES, stats, strict=True))
