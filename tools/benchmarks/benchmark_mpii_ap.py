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
import sys
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from timing import fastest

from rmpe_spm.markdown import markdown_table
from rmpe_spm.mpii.ap import (
    EMPTY_UNITS,
    UNANNOTATED,
    AnnotatedPoses,
    PredictedPoses,
    match_joints,
)

sys.path.append(str(Path(__file__).parents[2] / 'tests/helpers'))

from brute_force_mpii_ap import multi_person_ap  # noqa: E402
from mpii_poses import real_units  # noqa: E402

Units = tuple[list[AnnotatedPoses], list[PredictedPoses]]


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


def leave_out(units: Units) -> Units:
    """The same without the predictions of every tenth unit."""
    annotated, predicted = units
    nobody = PredictedPoses(np.zeros((0, 14, 2)), np.zeros((0, 14)))
    predicted = [
        poses if index % 10 else nobody
        for index, poses in enumerate(predicted)
    ]
    return annotated, predicted


def compare_definitions(inputs: dict[str, Units]) -> str:
    """Totals by every definition, as a table in Markdown."""
    rows = []
    for name, units in inputs.items():
        for unannotated, empty_units in product(UNANNOTATED, EMPTY_UNITS):
            options = dict(unannotated=unannotated, empty_units=empty_units)
            loops = multi_person_ap(*units, **options)['Total']
            fast = match_joints(*units, **options).table()['Total']
            row = [name, unannotated, empty_units, f'{loops:.4f}']
            rows.append([*row, f'{fast:.4f}', f'{abs(loops - fast):.0e}'])
    head = ['input', 'unannotated', 'empty_units', 'loops', 'rmpe_spm', 'diff']
    return markdown_table(head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        '--groups', nargs='+', type=int, default=[50, 350, 1758]
    )
    parser.add_argument('--runs', type=int, default=3)
    parser.add_argument('--real', nargs=2, metavar=('VALID', 'PREDICTIONS'))
    args = parser.parse_args()
    print('groups  loops (s)  vectorised (s)  ratio  equal')
    for groups in args.groups:
        poses = make_groups(groups)
        functions = [
            partial(multi_person_ap, *poses),
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
        inputs['real'] = real_units(*args.real)
    inputs |= {f'{k}, a tenth empty': leave_out(v) for k, v in inputs.items()}
    print(f'\n{compare_definitions(inputs)}', end='')


if __name__ == '__main__':
    main()
