"""Annotated and predicted people of MPII's evaluation, made for tests."""

import numpy as np
from scipy.io import loadmat

from rmpe_spm.mpii.annotations import evaluated_joints
from rmpe_spm.mpii.ap import AnnotatedPoses, PredictedPoses
from rmpe_spm.mpii.readers import read_mpii

# head size 10: a joint matches within 5 pixels
BASE = np.stack([np.arange(14) * 30.0, np.zeros(14)], 1)


def at(y, wrong=0):
    """A pose in the row y, the first ``wrong`` joints far off."""
    pose = BASE + [0, y]
    pose[:wrong] += 1000
    return pose


def truth(*poses, annotated=None, heads=10.0):
    poses = np.array(poses, float).reshape(-1, 14, 2)
    if annotated is None:
        annotated = np.ones(poses.shape[:2], bool)
    return AnnotatedPoses(poses, annotated, np.full(len(poses), heads))


def predicted(*poses, scores=None, present=None):
    poses = np.array(poses, float).reshape(-1, 14, 2)
    scores = np.ones(len(poses)) if scores is None else np.array(scores, float)
    return PredictedPoses(poses, np.repeat(scores[:, None], 14, 1), present)


def random_units(seed, units=12, people=5, poses=9):
    """People near one another, ties everywhere, missing joints."""
    rng = np.random.default_rng(seed)
    annotated, found = [], []
    for _ in range(units):
        number = rng.integers(0, people + 1)
        base = rng.uniform(0, 60, (14, 2))
        points = base + rng.normal(size=(number, 14, 2)) * 12
        shown = rng.random((number, 14)) < rng.choice([0.0, 0.4, 0.9, 1.0])
        annotated.append(
            AnnotatedPoses(points, shown, rng.uniform(8, 30, number))
        )
        count = rng.integers(0, poses + 1)
        near = np.concatenate([points, base[None]])
        guesses = near[rng.integers(number + 1, size=count)]
        noise = rng.choice([0, 3, 15], (count, 1, 1))
        guesses = guesses + rng.normal(size=(count, 14, 2)) * noise
        present = None
        if rng.random() < 0.3:
            present = rng.random((count, 14)) < 0.8
        scores = rng.random((count, 14)).round(1) - 0.2
        found.append(PredictedPoses(guesses, scores, present))
    return annotated, found


def real_units(valid, predictions):
    """People of ``valid.h5``, and one person's prediction for each of them."""
    rng = np.random.default_rng(0)
    annotated, found, start = [], [], 0
    poses = np.stack(list(loadmat(predictions)['keypointsAll'][0]))
    for image in read_mpii(valid):
        points = poses[start : start + len(image)].astype(np.float64)
        start += len(image)
        found.append(PredictedPoses(points, rng.random(points.shape[:2])))
        annotated.append(
            AnnotatedPoses(
                evaluated_joints(image.keypoints),
                evaluated_joints(image.annotated),
                image.head_sizes,
            )
        )
    return annotated, found
