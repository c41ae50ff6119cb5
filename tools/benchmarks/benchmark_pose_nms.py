#!/usr/bin/env python
"""Time the parametric pose NMS beside mmpose's OKS NMS, on the same poses.

Every person has three redundant poses. Both rules run in turn in one process
on one core, the fastest run of each counts; mmpose's gets its list of
dictionaries ready-made. Then images with thousands of poses, and batches::

    OMP_NUM_THREADS=1 python tools/benchmarks/benchmark_pose_nms.py
"""

import argparse
import tracemalloc
from functools import partial

import numpy as np
import torch
from mmpose.evaluation.functional import oks_nms
from timing import fastest

from rmpe_spm.markdown import markdown_table
from rmpe_spm.pose_nms.parametric import ParametricPoseNMS

# a standing person in a box of 1 x 1
STANDING = np.array(
    [
        [0.50, 0.08], [0.54, 0.06], [0.46, 0.06], [0.60, 0.07], [0.40, 0.07],
        [0.72, 0.22], [0.28, 0.22], [0.85, 0.38], [0.15, 0.38], [0.90, 0.52],
        [0.10, 0.52], [0.65, 0.53], [0.35, 0.53], [0.66, 0.75], [0.34, 0.75],
        [0.67, 0.96], [0.33, 0.96],
    ]
)  # fmt: skip

NOISE = 0.02  # deviation of redundant poses' joints, over the person's height


def make_poses(
    number: int,
    copies: int = 3,
    size: tuple[int, int] = (640, 480),
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Redundant poses of people in an image of size (w, h)."""
    rng = np.random.default_rng(seed)
    people = -(-number // copies)
    height = rng.uniform(50, 250, (people, 1, 1))
    corner = rng.uniform(0, 1, (people, 1, 2)) * size
    keypoints = corner + STANDING * [0.45, 1] * height
    keypoints = keypoints.repeat(copies, 0)[:number]
    spread = NOISE * height.repeat(copies, 0)[:number]
    keypoints += rng.normal(size=keypoints.shape) * spread
    scores = rng.uniform(0.2, 1, keypoints.shape[:2])
    boxes = np.concatenate([keypoints.min(1), keypoints.max(1)], 1)
    return keypoints, scores, boxes


def beside_oks(nms: ParametricPoseNMS, repeats: int) -> str:
    """The time of images with some poses, as a table."""
    rows = []
    for number in (15, 30, 60, 150, 300):
        keypoints, scores, boxes = poses = make_poses(number)
        joints = np.concatenate([keypoints, scores[..., None]], 2)
        areas = np.prod(boxes[:, 2:] - boxes[:, :2], 1)
        database = [
            dict(keypoints=k, score=s, area=a)
            for k, s, a in zip(joints, scores.mean(1), areas, strict=True)
        ]
        runs = [partial(oks_nms, database, 0.9), partial(nms, *poses)]
        kept = [len(run()) for run in runs]
        times = fastest(runs, repeats, in_a_row=5)
        times, ratio = [1e3 * each for each in times], times[0] / times[1]
        cells = [f'{t:.3f} ms, {k} left' for t, k in zip(times, kept)]  # noqa: B905
        rows.append([number, *cells, f'{ratio:.1f}'])
    return markdown_table(['poses', 'OKS NMS', 'parametric', 'ratio'], rows)


def crowds(nms: ParametricPoseNMS, repeats: int) -> str:
    """The time and the memory of 10,000 poses in an image, as a table."""
    rows = []
    for copies, size in (
        (3, (1920, 1080)),
        (3, (640, 480)),
        (100, (640, 480)),
        (1, (640, 480)),
    ):
        run = partial(nms, *make_poses(10000, copies, size))
        (seconds,) = fastest([run], repeats)
        tracemalloc.start()
        kept = len(run())
        peak = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
        times = [f'{1e3 * seconds:.0f} ms', kept, f'{peak:.0f} MB']
        rows.append([f'{copies} a person, {size[0]} x {size[1]}', *times])
    return markdown_table(['10,000 poses', 'time', 'left', 'peak'], rows)


def batches(nms: ParametricPoseNMS, repeats: int) -> str:
    """The time of 64 images of 30 poses, one by one and in a batch."""
    images = [make_poses(30, seed=seed) for seed in range(64)]
    columns = list(zip(*images, strict=True))
    tensors = [[torch.from_numpy(each) for each in own] for own in columns]
    functions = {
        'one by one': lambda: [nms(*image) for image in images],
        'batch': partial(nms.batch, *columns),
        'batch of tensors': partial(nms.batch, *tensors),
    }
    times = fastest(list(functions.values()), repeats)
    cells = [f'{1e3 * seconds / len(images):.3f} ms' for seconds in times]
    rows = zip(functions, cells, strict=True)
    return markdown_table(['64 images of 30 poses', 'an image'], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--repeats', type=int, default=5)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    nms = ParametricPoseNMS('coco')
    for measure in (beside_oks, crowds, batches):
        print(measure(nms, repeats))


if __name__ == '__main__':
    main()
