#!/usr/bin/env python
"""Time MPII's multi-person AP beside the plain loops of its definition.

Groups of 1 to 6 people with 20 candidates each. Both run in turn in one
process on one core, the fastest run of each counts, and their tables must be
equal to the last bit::

    OMP_NUM_THREADS=1 python tools/benchmarks/benchmark_mpii_ap.py
"""

import argparse
import importlib.util
import time
from pathlib import Path
from types import ModuleType

import numpy as np

from rmpe_spm.mpii.ap import (
    AnnotatedPoses,
    PredictedPoses,
    multi_person_ap,
)

LOOPS = Path(__file__).parents[2] / 'tests/helpers/brute_force_mpii_ap.py'


def load_loops() -> ModuleType:
    """The brute-force twin that the tests compare with."""
    spec = importlib.util.spec_from_file_location('brute_force', LOOPS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_groups(
    groups: int, candidates: int = 20
) -> tuple[list[AnnotatedPoses], list[PredictedPoses]]:
    """People in a group's place, candidates near and far from them."""
    rng = np.random.default_rng(0)
    annotated, predicted = [], []
    for _ in range(groups):
        people = int(rng.integers(1, 7))
        points = rng.uniform(0, 300, (people, 14, 2))
        annotated.append(
            AnnotatedPoses(
                points,
                rng.random((people, 14)) < 0.85,
                rng.uniform(20, 60, people),
            )
        )
        noise = rng.choice([3, 10, 40], (candidates, 1, 1))
        poses = points[rng.integers(people, size=candidates)]
        predicted.append(
            PredictedPoses(
                poses + rng.normal(size=poses.shape) * noise,
                rng.random((candidates, 14)),
            )
        )
    return annotated, predicted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        '--groups', nargs='+', type=int, default=[50, 350, 1758]
    )
    parser.add_argument('--runs', type=int, default=3)
    args = parser.parse_args()
    loops = load_loops()
    print('groups  loops (s)  vectorised (s)  ratio  equal')
    for groups in args.groups:
        poses = make_groups(groups)
        best = [float('inf')] * 2
        functions = [loops.multi_person_ap, multi_person_ap]
        for _ in range(args.runs):
            tables = []
            for index, function in enumerate(functions):
                start = time.perf_counter()
                tables.append(function(*poses))
                seconds = time.perf_counter() - start
                best[index] = min(best[index], seconds)
        print(
            f'{groups:6d}  {best[0]:9.2f}  {best[1]:14.3f}'
            f'  {best[0] / best[1]:5.0f}  {tables[0] == tables[1]}'
        )


if __name__ == '__main__':
    main()
