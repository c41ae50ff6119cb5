"""MPII's AP: by hand, beside plain loops, on real predictions, resampled."""

import math

import brute_force_mpii_ap as brute_force
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import loadmat

from rmpe_spm.coco.bootstrap import bootstrap_ap, paired_bootstrap
from rmpe_spm.mpii.annotations import evaluated_joints
from rmpe_spm.mpii.ap import (
    AnnotatedPoses,
    MpiiMatches,
    PredictedPoses,
    match_joints,
    multi_person_ap,
    voc_ap,
)
from rmpe_spm.mpii.readers import read_mpii

COLUMNS = ('Head', 'Shoulder', 'Elbow', 'Wrist', 'Hip', 'Knee', 'Ankle')
BASE = np.stack([np.arange(14) * 30.0, np.zeros(14)], 1)
LEFT_ELBOW = 12


def truth(*rows):
    poses = np.array([BASE + [0, y] for y in rows]).reshape(-1, 14, 2)
    return AnnotatedPoses(
        poses, np.ones(poses.shape[:2], bool), np.full(len(poses), 10.0)
    )


def predicted(*rows_and_scores):
    poses = np.array([BASE + [0, y] for y, _ in rows_and_scores])
    scores = np.array([[score] * 14 for _, score in rows_and_scores])
    return PredictedPoses(
        poses.reshape(-1, 14, 2), scores.reshape(-1, 14).astype(float)
    )


def test_columns_and_perfect_poses():
    table = multi_person_ap([truth(0, 90)], [predicted((90, 0.2), (0, 0.3))])
    assert table == dict.fromkeys((*COLUMNS, 'Total'), 100.0)
    assert list(table) == [*COLUMNS, 'Total']


@pytest.mark.parametrize(
    'people,poses,expected',
    [
        # a missed person: recall stops at a half
        ((0, 90), [(0, 0.9)], 50),
        # a duplicate below the person costs nothing, one above it does:
        # its precision is 1 / 2. The nearer of equals is the first
        ((0,), [(0, 0.9), (1, 0.8)], 100),
        ((0,), [(0, 0.8), (1, 0.9)], 50),
        # a false alarm before, between and after two people
        ((0, 90), [(0, 0.8), (90, 0.7), (500, 0.9)], 100 * 2 / 3),
        ((0, 90), [(0, 0.9), (90, 0.7), (500, 0.8)], 50 + 50 * 2 / 3),
        ((0, 90), [(0, 0.9), (90, 0.8), (500, 0.7)], 100),
        # no predictions at all, and none near anybody
        ((0, 90), [], 0),
        ((0, 90), [(500, 0.9)], 0),
    ],
)
def test_people_by_hand(people, poses, expected):
    table = multi_person_ap([truth(*people)], [predicted(*poses)])
    for value in table.values():
        assert value == pytest.approx(expected)


def test_a_wrong_joint_by_hand():
    """Left elbow of one of two people: 1 of 2 right, the wrong one first."""
    poses = predicted((0, 0.9), (90, 0.8))
    poses.keypoints[0, LEFT_ELBOW] += 6
    table = multi_person_ap([truth(0, 90)], [poses])
    # precision 1 / 2 at a recall of 1 / 2
    assert table['Elbow'] == pytest.approx((100 + 25) / 2)
    assert table['Total'] == pytest.approx((13 * 100 + 25) / 14)
    assert {table[c] for c in COLUMNS if c != 'Elbow'} == {100.0}
    # with its own low score the wrong joint comes last
    poses.scores[0, LEFT_ELBOW] = 0.1
    table = multi_person_ap([truth(0, 90)], [poses])
    assert table['Elbow'] == pytest.approx((100 + 50) / 2)


def test_two_people_crossed_by_hand():
    """Wrists swapped between two people are wrong for both of them."""
    poses = predicted((0, 0.9), (90, 0.8))
    wrists = [8, 13]
    poses.keypoints[:, wrists] = poses.keypoints[::-1, wrists]
    table = multi_person_ap([truth(0, 90)], [poses])
    assert table['Wrist'] == 0
    assert table['Total'] == pytest.approx(100 * 12 / 14)
    # more than half of the joints swapped: the people are, the rest is wrong
    most = [0, 1, 2, 3, 4, 5, 6, 7]
    poses = predicted((0, 0.9), (90, 0.8))
    poses.keypoints[:, most] = poses.keypoints[::-1, most]
    table = multi_person_ap([truth(0, 90)], [poses])
    assert table['Hip'] == table['Head'] == 100
    assert table['Wrist'] == table['Elbow'] == table['Shoulder'] == 0


def test_joints_nobody_has():
    people = truth(0, 90)
    people.annotated[:, :6] = False  # legs
    people.annotated[:, 6] = False  # upper neck
    poses = predicted((0, 0.9))
    table = multi_person_ap([people], [poses])
    assert all(math.isnan(table[c]) for c in ('Hip', 'Knee', 'Ankle'))
    assert table['Head'] == table['Total'] == 50
    people.annotated[:] = False
    with pytest.raises(ValueError, match='no joint is annotated'):
        multi_person_ap([people], [poses])


def test_unannotated_joints():
    """An invisible ankle, predicted with more confidence than the other."""
    people = truth(0, 90)
    people.annotated[0, 0] = False
    poses = predicted((0, 0.9), (90, 0.8))
    assert multi_person_ap([people], [poses])['Ankle'] == 100
    table = multi_person_ap([people], [poses], unannotated='false_positive')
    assert table['Ankle'] == pytest.approx((50 + 100) / 2)
    assert table['Knee'] == 100


def test_voc_ap_by_hand():
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    correct = np.array([False, True, True, False, True])
    # precision 0, 1/2, 2/3, 1/2, 3/5; from behind 3/5 at the last, 2/3
    assert voc_ap(scores, correct, 4) == pytest.approx(
        (2 / 3 + 2 / 3 + 3 / 5) / 4
    )
    # equal scores stay in their order
    assert voc_ap(np.zeros(2), np.array([False, True]), 1) == 0.5
    assert voc_ap(np.zeros(2), np.array([True, False]), 1) == 1
    assert voc_ap(np.zeros(0), np.zeros(0, bool), 1) == 0


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
        guesses = guesses + rng.normal(size=(count, 14, 2)) * rng.choice(
            [0, 3, 15], (count, 1, 1)
        )
        present = None
        if rng.random() < 0.3:
            present = rng.random((count, 14)) < 0.8
        scores = rng.random((count, 14)).round(1) - 0.2
        found.append(PredictedPoses(guesses, scores, present))
    return annotated, found


@pytest.mark.parametrize('unannotated', ['ignore', 'false_positive'])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_equals_plain_loops(unannotated, seed):
    annotated, found = random_units(seed)
    if not any(each.annotated.any() for each in annotated):
        return
    for thr in (0.5, 0.2):
        expected = brute_force.multi_person_ap(
            annotated, found, thr, unannotated == 'ignore'
        )
        table = multi_person_ap(annotated, found, thr, unannotated)
        np.testing.assert_array_equal(
            list(table.values()), list(expected.values())
        )
        assert list(table) == list(expected)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), data=st.data())
def test_what_does_not_change_it(seed, data):
    """Order of the units, place and size; a monotonous change of scores."""
    annotated, found = random_units(seed)
    if not any(each.annotated.any() for each in annotated):
        return
    rng = np.random.default_rng(seed)
    for each in found:  # no ties
        each.scores[:] = rng.random(each.scores.shape)
    table = multi_person_ap(annotated, found)
    order = data.draw(st.permutations(range(len(found))))
    moved = [
        AnnotatedPoses(
            4 * each.keypoints + 64, each.annotated, 4 * each.head_sizes
        )
        for each in (annotated[i] for i in order)
    ]
    other = [
        PredictedPoses(
            4 * each.keypoints + 64, np.exp(each.scores), each.predicted
        )
        for each in (found[i] for i in order)
    ]
    assert multi_person_ap(moved, other) == pytest.approx(table, nan_ok=True)
    strict = multi_person_ap(annotated, found, unannotated='false_positive')
    for column, value in strict.items():
        if not math.isnan(value):
            assert value <= table[column]


def test_real_predictions(shared_dir):
    """2,958 real poses: PCKh by hand, and the loops' AP exactly."""
    folder = shared_dir / 'data' / 'mpii'
    images = read_mpii(folder / 'valid.h5')
    content = loadmat(folder / 'single_person_predictions.mat')
    poses = np.stack(list(content['keypointsAll'][0]))
    rng = np.random.default_rng(0)
    annotated, found, right, start = [], [], [], 0
    for image in images:
        points = poses[start : start + len(image)]
        start += len(image)
        points = points.astype(float)
        scores = rng.random(points.shape[:2])
        found.append(PredictedPoses(points, scores))
        each = AnnotatedPoses(
            evaluated_joints(image.keypoints),
            evaluated_joints(image.annotated),
            image.head_sizes,
        )
        annotated.append(each)
        distance = np.hypot(*np.moveaxis(points - each.keypoints, -1, 0))
        near = distance / image.head_sizes[:, None] <= 0.5
        right.append(near & each.annotated)
    assert start == 2958
    matched = match_joints(annotated, found)
    right = np.concatenate(right)
    # of the joints of one image and person, those of the PCKh are right
    alone = np.repeat([len(i) == 1 for i in images], [len(i) for i in images])
    assert (matched.correct[alone] == right[alone]).all()
    assert right.sum() / matched.positives.sum() > 0.8
    table = multi_person_ap(annotated, found)
    assert table == brute_force.multi_person_ap(annotated, found)
    assert 50 < table['Total'] < 100
    assert table == matched.table()


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
    return match_joints(*units, **options, image_ids=IMAGES)


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
