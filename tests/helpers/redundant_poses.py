"""Made-up people with redundant poses, and greedy elimination in loops."""

import numpy as np


def people(seed, count, copies, num_joints=17, dtype=np.float32):
    """People with redundant poses: keypoints, scores, boxes, box scores."""
    rng = np.random.default_rng(seed)
    height = rng.uniform(20, 200, (count, 1, 1))
    base = rng.uniform(0, 400, (count, 1, 2))
    base = base + rng.uniform(-0.5, 0.5, (count, num_joints, 2)) * height
    kpts = np.repeat(base, copies, 0)
    kpts += rng.normal(size=kpts.shape) * 0.03 * height.repeat(copies, 0)
    scores = rng.uniform(0.1, 1, kpts.shape[:2])
    boxes = np.concatenate([kpts.min(1), kpts.max(1)], 1)
    arrays = kpts, scores, boxes, rng.uniform(0.1, 1, len(kpts))
    return tuple(array.astype(dtype) for array in arrays)


def looped_clusters(ranked, redundant):
    """The best pose left takes all that ``redundant(best, other)`` tells."""
    left, clusters = list(ranked), []
    while left:
        best, *others = left
        gone = [other for other in others if redundant(best, other)]
        clusters.append([best, *gone])
        left = [other for other in others if other not in gone]
    return clusters
