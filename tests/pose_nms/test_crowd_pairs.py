"""The search with trees against all pairs."""

import numpy as np
import pytest

from rmpe_spm.pose_nms.greedy import crowd_pairs
from rmpe_spm.pose_nms.rule import make_rule
from rmpe_spm.pose_nms.similarity import pose_terms


@pytest.mark.parametrize('needed', [1, 3])
def test_finds_the_pairs_of_all_pairs(needed):
    rng = np.random.default_rng(0)
    kpts = rng.uniform(0, 100, (80, 6, 2))
    kpts[rng.random((80, 6)) < 0.2] = np.nan
    kpts[:, 5] = np.nan
    terms = pose_terms(
        kpts, np.ones((80, 6)), np.zeros((80, 4)), make_rule('mpii')
    )
    reach = np.exp(rng.uniform(0, 5, 80))
    rows = np.sort(rng.choice(60, 20, replace=False))
    columns = np.sort(rng.choice(80, 60, replace=False))
    expected = []
    for i in rows:
        for j in columns[columns > i]:
            distance = np.linalg.norm(kpts[i] - kpts[j], axis=1)
            if (distance <= reach[i]).sum() >= needed:
                expected.append((i, j))
    assert 20 < len(expected) < len(rows) * len(columns) / 2
    found = crowd_pairs(terms, rows, columns, reach, np.full(80, needed))
    assert list(zip(*found, strict=True)) == expected


def test_poses_without_joints():
    terms = pose_terms(
        np.full((4, 2, 2), np.nan),
        np.ones((4, 2)),
        np.zeros((4, 4)),
        make_rule('mpii'),
    )
    every = np.arange(4)
    i, j = crowd_pairs(terms, every, every, np.ones(4), np.ones(4))
    assert len(i) == len(j) == 0
