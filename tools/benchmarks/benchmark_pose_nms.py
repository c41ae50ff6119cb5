#!/usr/bin/env python
"""Time the parametric pose NMS beside mmpose's OKS NMS, on the same poses.

Every person has three redundant poses. Both rules run in turn in one process
on one core, the fastest run of each counts; mmpose's gets its list of
dictionaries ready-made. Then images with thousands of poses, and batches::

    OMP_NUM_THREADS=1 python tools/benchmarks/benchmark_pose_nms.py
"""

import argparse
import tracemalloc
from collections.abc import Callable

import numpy as np
import torch
from mmpose.evaluation.functional import oks_nms
from timing import fastest

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


PRESETS = ('coco', 'mpii')
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


def milliseconds(functions: list[Callable], seconds: float) -> list[float]:
    """Of the fastest run of each, in about as many seconds together."""
    once = sum(fastest(functions, 1))
    times = fastest(functions, max(int(seconds / once / 5), 1), in_a_row=5)
    return [1e3 * value for value in times]


def beside_oks(seconds: float) -> None:
    print('poses  OKS NMS (ms)  kept   parametric (ms)  kept   ratio')
    for preset in PRESETS:
        nms = ParametricPoseNMS(preset)
        for number in (15, 30, 60, 150, 300):
            keypoints, scores, boxes = poses = make_poses(number)
            joints = np.concatenate([keypoints, scores[..., None]], 2)
            areas = np.prod(boxes[:, 2:] - boxes[:, :2], 1)
            database = [
                dict(keypoints=k, score=s, area=a)
                for k, s, a in zip(joints, scores.mean(1), areas, strict=True)
            ]
            theirs, ours = milliseconds(
                [
                    lambda database=database: oks_nms(database, 0.9),
                    lambda poses=poses, nms=nms: nms(*poses),
                ],
                seconds,
            )
            kept = len(oks_nms(database, 0.9)), len(nms(*poses))
            print(
                f'{number:5d}  {theirs:12.3f}  {kept[0]:4d}'
                f'   {ours:8.3f} ({preset})  {kept[1]:4d}'
                f'   {theirs / ours:5.1f}'
            )


def crowds(seconds: float) -> None:
    print('\n10,000 poses in one image   ms      kept  peak MB')
    for preset in PRESETS:
        nms = ParametricPoseNMS(preset)
        for name, copies, size in (
            ('3 a person, 1920 x 1080', 3, (1920, 1080)),
            ('3 a person, 640 x 480', 3, (640, 480)),
            ('100 a person, 640 x 480', 100, (640, 480)),
            ('1 a person, 640 x 480', 1, (640, 480)),
        ):
            poses = make_poses(10000, copies, size)
            kept = len(nms(*poses))
            (ours,) = milliseconds(
                [lambda poses=poses, nms=nms: nms(*poses)], seconds
            )
            tracemalloc.start()
            nms(*poses)
            peak = tracemalloc.get_traced_memory()[1] / 2**20
            tracemalloc.stop()
            print(f'{preset}: {name:24s} {ours:6.0f}  {kept:6d}  {peak:6.0f}')


def batches(seconds: float) -> None:
    print('\n64 images of 30 poses          ms an image')
    nms = ParametricPoseNMS(PRESETS[0])
    images = [make_poses(30, seed=seed) for seed in range(64)]
    columns = list(zip(*images, strict=True))
    devices = ['cpu'] + ['cuda'] * torch.cuda.is_available()
    functions = dict(
        one_by_one=lambda: [nms(*image) for image in images],
        batch=lambda: nms.batch(*columns),
    )
    for device in devices:
        tensors = [
            [torch.from_numpy(array).to(device) for array in column]
            for column in columns
        ]
        functions[f'batch on {device}'] = lambda t=tensors: nms.batch(*t)
    times = milliseconds(list(functions.values()), seconds)
    for name, spent in zip(functions, times, strict=True):
        print(f'{name:28s} {spent / 64:8.3f}')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        '--seconds', type=float, default=2.0, help='for each comparison'
    )
    seconds = parser.parse_args().seconds
    torch.set_num_threads(1)
    beside_oks(seconds)
    crowds(seconds)
    batches(seconds)


if __name__ == '__main__':
    main()
