"""Identity measures of tracks, computed by their definition."""

import numpy as np
from scipy.optimize import linear_sum_assignment

from ..oks import COCO_SIGMAS, annotated_oks

Truths = list[tuple[int, np.ndarray, float]]
Found = list[tuple[int, np.ndarray]]


def are_same(
    truth: np.ndarray, pose: np.ndarray, area: float, thr: float = 0.5
) -> bool:
    """Whether OKS of a pose with the annotated joints is at least ``thr``."""
    (similarity,) = annotated_oks(
        pose[None],
        truth[None, :, :2],
        truth[None, :, 2] > 0,
        np.zeros((1, 4)),  # counts for people without a labelled joint
        np.array([area]),
        np.asarray(COCO_SIGMAS),
    )
    return similarity >= thr


def identity_scores(frames: list[tuple[Truths, Found]]) -> tuple[float, int]:
    """IDF1 (Ristani et al 2016) and the number of switches.

    ``frames`` holds for each frame the people that are annotated (id, joints
    (17, 3), area), and the poses found (id, joints (17, 2)). A person's id
    switches where the nearest pose that is the person has another id.
    """
    pairs: dict[tuple[int, int], int] = {}
    last: dict[int, int] = {}
    switches = 0
    num_truths = num_poses = 0
    for truths, poses in frames:
        num_truths += len(truths)
        num_poses += len(poses)
        for track_id, truth, area in truths:
            same = [
                (np.abs(truth[:, :2] - pose)[truth[:, 2] > 0].sum(), other)
                for other, pose in poses
                if are_same(truth, pose, area)
            ]
            for _, other in same:
                key = track_id, other
                pairs[key] = pairs.get(key, 0) + 1
            if same:
                nearest = min(same)[1]
                switches += last.get(track_id, nearest) != nearest
                last[track_id] = nearest
    ids, others = ({pair[i] for pair in pairs} for i in (0, 1))
    counts = np.array([[pairs.get((i, j), 0) for j in others] for i in ids])
    rows, columns = linear_sum_assignment(-counts)
    true_positives = counts[rows, columns].sum()
    return 2 * true_positives / (num_truths + num_poses), switches
