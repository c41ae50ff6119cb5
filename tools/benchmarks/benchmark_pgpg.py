"""Time PGPGTransform beside mmpose's RandomBBoxTransform.

Prints the microseconds a sample of each mode and of mmpose's box
augmentation, alone and with the GetBBoxCenterScale that follows:

    OMP_NUM_THREADS=1 python tools/benchmarks/benchmark_pgpg.py
"""

import argparse
from pathlib import Path

import numpy as np
from mmpose.registry import TRANSFORMS
from mmpose.utils import register_all_modules
from timing import fastest

import rmpe_spm  # noqa: F401

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / 'configs/rmpe/_base_/pgpg/coco_mini_yolox-nano.json'


def make_samples(num: int) -> list[dict]:
    """Make top-down samples of standing people in images of 640x480."""
    rng = np.random.default_rng(0)
    x = np.array([0, 1, -1, 2, -2, 4, -4, 5, -5, 5, -5, 3, -3, 3, -3, 3, -3])
    y = np.array([0, -1, -1, 0, 0, 4, 4, 9, 9, 14, 14, 15, 15, 22, 22, 30, 30])
    samples = []
    for _ in range(num):
        corner = rng.uniform([0, 0], [400, 200])
        pose = np.stack([x + 7, y + 2], 1) + rng.normal(0, 1, (17, 2))
        keypoints = corner + 7 * pose
        samples.append(
            dict(
                img_id=0,
                img_shape=(480, 640),
                bbox=np.array([[*corner, *(corner + [100, 240])]], np.float32),
                keypoints=keypoints[None].astype(np.float32),
                keypoints_visible=(rng.random((1, 17)) > 0.1).astype(
                    np.float32
                ),
            )
        )
    return samples


def microseconds(configs: list[dict], samples: list, repeats: int) -> float:
    """Time a chain of transforms; the copy of the sample is taken off."""
    transforms = [TRANSFORMS.build(config) for config in configs]

    def run() -> None:
        for sample in samples:
            results = sample.copy()
            for transform in transforms:
                results = transform(results)

    def copy() -> None:
        for sample in samples:
            sample.copy()

    all_of_it, copying = fastest([run, copy], repeats)
    return (all_of_it - copying) / len(samples) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        '--repeats', type=int, default=15, help='of which the fastest counts'
    )
    repeats = parser.parse_args().repeats
    register_all_modules(init_default_scope=True)
    samples = make_samples(1000)
    centre = dict(type='GetBBoxCenterScale')
    peer = [centre, dict(type='RandomBBoxTransform')]
    base = microseconds([centre], samples, repeats)
    reference = microseconds(peer, samples, repeats)
    print(f'{"with GetBBoxCenterScale":<36}{"us":>8}{"alone":>8}{"ratio":>8}')

    def show(name: str, total: float) -> None:
        ratio = total / reference
        print(f'{name:<36}{total:8.1f}{total - base:8.1f}{ratio:8.2f}')

    show('nothing', base)
    show('RandomBBoxTransform (mmpose)', reference)
    for mode in ('gmm_atomic', 'gaussian_atomic', 'global_gaussian', 'jitter'):
        model = dict(model=str(MODEL)) if mode.endswith('atomic') else {}
        config = dict(type='PGPGTransform', mode=mode, **model)
        total = microseconds([config, centre], samples, repeats)
        show(f'PGPGTransform({mode})', total)


if __name__ == '__main__':
    main()
