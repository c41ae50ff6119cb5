"""Made-up results of a detector with several poses of each person."""

import numpy as np

from rmpe_spm.coco.ground_truth import ImageGroundTruth, PoseSet


def redundant_poses(seed=0, images=15):
    """People, neighbours that are others, and several poses of each."""
    rng = np.random.default_rng(seed)
    fields = [[] for _ in range(5)]
    for _ in range(images):
        people = rng.integers(1, 5)
        base = rng.uniform(0, 100, (17, 2))
        offsets = np.arange(people)[:, None, None] * [[[18.0, 0.0]]]
        truth = base + offsets + rng.normal(size=(people, 17, 2)) * 2
        boxes = np.concatenate([truth.min(1), truth.max(1)], 1)
        owner = np.repeat(np.arange(people), rng.integers(1, 5, people))
        noise = rng.uniform(0.5, 4, (len(owner), 1, 1))
        poses = truth[owner] + rng.normal(size=(len(owner), 17, 2)) * noise
        quality = 1 / (1 + noise[:, 0])
        scores = np.clip(quality + rng.normal(size=(len(owner), 17)) / 9, 0, 1)
        joints = np.concatenate([truth, np.full((people, 17, 1), 2.0)], 2)
        sizes = np.prod(boxes[:, 2:] - boxes[:, :2], 1)
        people = ImageGroundTruth(
            joints,
            np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1),
            0.5 * sizes,
            np.zeros(people, dtype=bool),
        )
        for field, value in zip(
            fields,
            (
                people,
                poses,
                scores,
                boxes[owner],
                scores.mean(1) + rng.normal(size=len(owner)) / 9,
            ),
            strict=True,
        ):
            field.append(value)
    return PoseSet(list(range(images)), *fields)
