#!/usr/bin/env python
"""Time MPII's multi-person AP beside the plain loops of its definition.

Groups of 1 to 6 people with 20 candidates each. Both run in turn in one
process on one core, the fastest run of each counts, and their tables must be
equal to the last bit::

    OMP_NUM_THREADS=1 python tools/benchmarks/benchmark_mpii_ap.py

The loops follow the definition of the benchmark's toolkit. With ``--real``
real predictions are evaluated too: pose-hg-train's ``valid.h5``, and a file of
single-person predictions for it, ``keypointsAll`` (P, 14, 2) with a random
score a joint.
"""

import argparse
import importlib.util
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
from scipy.io import loadmat
from timing import fastest

from rmpe_spm.mpii.annotations import evaluated_joints
from rmpe_spm.mpii.ap import (
    EMPTY_UNITS,
    UNANNOTATED,
    AnnotatedPoses,
    PredictedPoses,
    match_joints,
)
from rmpe_spm.mpii.readers import read_mpii

Units = tuple[list[AnnotatedPoses], list[PredictedPoses]]
LOOPS = Path(__file__).parents[2] / 'tests/helpers/brute_force_mpii_ap.py'


def load_loops() -> ModuleType:
    """The brute-force twin that the tests compare with."""
    spec = importlib.util.spec_from_file_location('brute_force', LOOPS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_groups(groups: int, candidates: int = 20) -> Units:
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


def read_real(valid: str, predictions: str) -> Units:
    """MPII's validation people with predictions, image by image."""
    rng = np.random.default_rng(0)
    annotated, predicted, start = [], [], 0
    poses = np.stack(list(loadmat(predictions)['keypointsAll'][0]))
    for image in read_mpii(valid):
        points = poses[start : start + len(image)].astype(np.float64)
        start += len(image)
        predicted.append(PredictedPoses(points, rng.random(points.shape[:2])))
        annotated.append(
            AnnotatedPoses(
                evaluated_joints(image.keypoints),
                evaluated_joints(image.annotated),
                image.head_sizes,
            )
        )
    return annotated, predicted


def leave_out(units: Units) -> Units:
    """The same without the predictions of every tenth unit."""
    annotated, predicted = units
    nobody = PredictedPoses(np.zeros((0, 14, 2)), np.zeros((0, 14)))
    predicted = [
        poses if index % 10 else nobody
        for index, poses in enumerate(predicted)
    ]
    return annotated, predicted


def compare_definitions(loops: ModuleType, inputs: dict[str, Units]) -> None:
    """Totals by every definition, as a table in Markdown."""
    print('\n| input | unannotated | empty_units | loops | rmpe_spm | diff |')
    print('|---|---|---|---:|---:|---:|')
    for name, units in inputs.items():
        for unannotated in UNANNOTATED:
            for empty_units in EMPTY_UNITS:
                options = dict(
                    unannotated=unannotated, empty_units=empty_units
                )
                totals = [
                    loops.multi_person_ap(*units, **options)['Total'],
                    match_joints(*units, **options).table()['Total'],
                ]
                print(
                    f'| {name} | {unannotated} | {empty_units} '
                    f'| {totals[0]:.4f} | {totals[1]:.4f} '
                    f'| {abs(totals[0] - totals[1]):.0e} |'
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        '--groups', nargs='+', type=int, default=[50, 350, 1758]
    )
    parser.add_argument('--runs', type=int, default=3)
    parser.add_argument('--real', nargs=2, metavar=('VALID', 'PREDICTIONS'))
    args = parser.parse_args()
    loops = load_loops()
    print('groups  loops (s)  vectorised (s)  ratio  equal')
    for groups in args.groups:
        poses = make_groups(groups)
        functions = [
            partial(loops.multi_person_ap, *poses),
            lambda poses=poses: match_joints(*poses).table(),
        ]
        best = fastest(functions, args.runs)
        one, other = (function() for function in functions)
        print(
            f'{groups:6d}  {best[0]:9.2f}  {best[1]:14.3f}'
            f'  {best[0] / best[1]:5.0f}  {one == other}'
        )
    inputs = {'random': make_groups(args.groups[0])}
    if args.real:
        inputs['real'] = read_real(*args.real)
    inputs |= {f'{k}, a tenth empty': leave_out(v) for k, v in inputs.items()}
    compare_definitions(loops, inputs)


if __name__ == '__main__':
    main()
