"""AP after each of several pose NMS rules, on the same poses."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from .annotated_people import AnnotatedPeople
from .coco_poses import PoseSet
from .keypoint_ap import KeypointAP


@dataclass
class NMSScore:
    """What a pose NMS made of a data set.

    Attributes:
        ap, ap50, ap75 (float): COCO's AP, 0 to 1.
        num_poses (int): Poses left.
        milliseconds (float): Time of the NMS per image.
    """

    ap: float
    ap50: float
    ap75: float
    num_poses: int
    milliseconds: float


def compare_nms(
    poses: PoseSet,
    rules: Mapping[str, Callable | None],
    sigmas: np.ndarray,
) -> dict[str, NMSScore]:
    """Evaluate pose NMS rules on the same poses and their scores.

    A kept pose has the score that it came with, times what a soft rule
    makes of it; merged poses are evaluated as they are.

    Args:
        poses (PoseSet): Detected and annotated people.
        rules (dict): Components with the call interface of
            :class:`~rmpe_spm.evaluation.base_pose_nms.BasePoseNMS` by name;
            None stands for no NMS.
        sigmas (np.ndarray): Of the OKS, (K,).

    Returns:
        dict[str, NMSScore]: By the same names.
    """
    people = AnnotatedPeople(poses.truths)
    found = {}
    for name, nms in rules.items():
        keypoints, scores = poses.keypoints, poses.scores
        start = time.perf_counter()
        if nms is not None:
            results = nms.batch(
                poses.keypoints,
                poses.keypoint_scores,
                poses.bboxes_xyxy,
                scores=poses.scores,
            )
            keypoints = [result.keypoints for result in results]
            scores = [result.scores for result in results]
        seconds = time.perf_counter() - start
        evaluation = KeypointAP(
            people,
            np.concatenate(keypoints),
            np.concatenate(scores),
            np.array(list(map(len, scores))),
            sigmas,
        )
        precision = evaluation.precision()
        found[name] = NMSScore(
            ap=float(precision.mean()),
            ap50=float(precision[0].mean()),
            ap75=float(precision[5].mean()),
            num_poses=sum(map(len, scores)),
            milliseconds=1e3 * seconds / len(poses.truths),
        )
    return found
