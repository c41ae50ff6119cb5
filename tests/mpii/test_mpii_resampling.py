"""Resamples beside evaluations of data with copies of their images."""

import numpy as np
import pytest

from rmpe_spm.coco.bootstrap import bootstrap_ap, paired_bootstrap
from rmpe_spm.mpii.ap import MpiiMatches, matches_by_image, multi_person_ap
from rmpe_spm.mpii.matching import AnnotatedPoses, PredictedPoses, match_poses

IMAGES = (8, 8, 3, 5, 5, 9)  # of the units, groups of people


@pytest.fixture
def units():
    """Groups with missing joints, misses, duplicates and false alarms."""
    rng = np.random.default_rng(0)
    annotated, predicted = [], []
    for people in (2, 1, 3, 1, 0, 2):
        points = rng.uniform(0, 300, (people, 14, 2))
        annotated.append(
            AnnotatedPoses(
                points,
                rng.random((people, 14)) < 0.8,
                rng.uniform(15, 25, people),
            )
        )
        which = rng.integers(0, max(people, 1), 4)
        base = points[which] if people else rng.uniform(0, 300, (4, 14, 2))
        predicted.append(
            PredictedPoses(
                base + rng.normal(0, 6, base.shape), rng.random((4, 14))
            )
        )
    return annotated, predicted


def matches_of(units, **options):
    return matches_by_image(
        match_poses(*units, **options), *units, image_ids=IMAGES
    )


@pytest.mark.parametrize('unannotated', ['ignore', 'false_positive'])
def test_resamples_equal_data_with_copies(units, unannotated):
    matches = matches_of(units, unannotated=unannotated)
    assert matches.image_ids == (3, 5, 8, 9)
    total = multi_person_ap(*units, unannotated=unannotated)['Total']
    assert 10 < total < 90
    np.testing.assert_allclose(matches.ap(), [total])
    rng = np.random.default_rng(1)
    counts = rng.integers(0, 4, (12, 4))
    for row, found in zip(counts, matches.ap(counts), strict=True):
        times = dict(zip(matches.image_ids, row, strict=True))
        copies = [
            [unit for unit, i in zip(side, IMAGES, strict=True)
             for _ in range(times[i])]
            for side in units
        ]  # fmt: skip
        expected = multi_person_ap(*copies, unannotated=unannotated)['Total']
        assert found == pytest.approx(expected)


def test_many_resamples_in_parts(units, monkeypatch):
    matches = matches_of(units)
    counts = np.random.default_rng(2).integers(0, 3, (31, 4))
    expected = matches.ap(counts)
    monkeypatch.setattr('rmpe_spm.mpii.ap._CELLS', 100)
    np.testing.assert_array_equal(matches.ap(counts), expected)


def test_nobody_annotated_and_nobody_predicted(units):
    matches = matches_of(units)
    assert np.isnan(matches.ap(np.zeros((1, 4), int))).all()
    annotated, predicted = units
    none = [
        PredictedPoses(unit.keypoints[:0], unit.scores[:0])
        for unit in predicted
    ]
    assert matches_of((annotated, none)).ap().tolist() == [0]


def test_kept_in_a_file(units, tmp_path):
    matches = matches_of(units)
    matches.save(tmp_path / 'matches.npz')
    again = MpiiMatches.load(tmp_path / 'matches.npz')
    assert again.image_ids == matches.image_ids
    np.testing.assert_array_equal(again.ap(), matches.ap())


def test_intervals_and_tests(units):
    matches = matches_of(units)
    found = bootstrap_ap(matches, np.random.default_rng(0), 200)
    assert found.low < found.value < found.high
    found = paired_bootstrap(matches, matches, np.random.default_rng(0), 200)
    assert (found.difference, found.p_value) == (0, 1)
