"""MPII's assignment and AP: by hand, beside plain loops, real, resampled."""

import math

import brute_force_mpii_ap as brute_force
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpii_poses import BASE, at, predicted, random_units, real_units, truth

from rmpe_spm.mpii.ap import MpiiMatches, match_joints

COLUMNS = ('Head', 'Shoulder', 'Elbow', 'Wrist', 'Hip', 'Knee', 'Ankle')
LEFT_ELBOW = 12
OPTIONS = [
    {},
    dict(unannotated='ignore'),
    dict(empty_units='toolkit'),
    dict(unannotated='ignore', empty_units='toolkit'),
]


def test_threshold_is_inclusive_and_the_persons_own():
    pose = BASE.copy()
    pose[0, 0] += 5
    pose[1, 0] += 5.001
    pose[2] += [3, 4]
    found = match_joints([truth(BASE)], [predicted(pose)])
    assert found.correct[0].tolist() == [True, False] + [True] * 12
    found = match_joints([truth(BASE, heads=10.1)], [predicted(pose)])
    assert found.correct.all()
    found = match_joints([truth(BASE)], [predicted(pose)], thr=0.499)
    assert found.correct[0, :3].tolist() == [False, False, False]


@pytest.mark.parametrize(
    'people,poses,assigned',
    [
        # the fraction of matches decides, not the score
        ([BASE], predicted(at(0, 3), at(0), scores=[0.9, 0.1]), [-1, 0]),
        # both choose the first person, who loses does not choose again
        ([at(0), at(4)], predicted(at(1, 1), at(1)), [-1, 0]),
        # ties go to the first
        ([at(0), at(0)], predicted(at(1), at(2)), [0, -1]),
        # no match, no assignment
        ([at(0)], predicted(at(500)), [-1]),
    ],
)
def test_assignment_by_hand(people, poses, assigned):
    found = match_joints([truth(*people)], [poses])
    assert found.assigned.tolist() == assigned
    assert found.counted.all()
    assert not found.correct[found.assigned < 0].any()


def test_fraction_is_of_the_annotated_joints():
    """2 of 2 joints are more than 12 of 14."""
    annotated = np.ones((2, 14), bool)
    annotated[1, 2:] = False
    people = truth(at(0, 2), at(3), annotated=annotated)
    found = match_joints([people], [predicted(at(0))])
    assert found.assigned.tolist() == [1]
    assert found.correct[0].tolist() == [True] * 2 + [False] * 12
    # the joints that person lacks are false positives, unless told so
    assert found.counted.all()
    lenient = match_joints([people], [predicted(at(0))], unannotated='ignore')
    assert lenient.counted[0].tolist() == [True] * 2 + [False] * 12
    assert (lenient.correct == found.correct).all()
    assert found.positives.tolist() == [[2, 2] + [1] * 12]


def test_units_are_apart():
    """The same pixels in another image are another person."""
    units = [truth(), truth(at(0)), truth(at(9)), truth(at(0), at(90))]
    poses = [predicted(*rows) for rows in ([at(0)], [], [at(0)], [at(90)])]
    found = match_joints(units, poses)
    assert found.assigned.tolist() == [-1, -1, 3]
    assert found.positives.tolist() == [[n] * 14 for n in (0, 1, 1, 2)]
    assert found.image.tolist() == [0, 2, 3]
    # the toolkit does not count the second, of whom nothing is predicted
    found = match_joints(units, poses, empty_units='toolkit')
    assert found.positives.tolist() == [[n] * 14 for n in (0, 0, 1, 2)]


def test_people_without_joints_need_no_head():
    annotated = np.ones((2, 14), bool)
    annotated[0] = False
    people = truth(at(0), at(0), annotated=annotated)
    people.head_sizes[0] = np.nan
    found = match_joints([people], [predicted(at(0))])
    assert found.assigned.tolist() == [1]


def test_what_is_refused():
    people, poses = truth(at(0)), predicted(at(0))
    with pytest.raises(ValueError, match='1 units are annotated, but 2'):
        match_joints([people], [poses, poses])
    people.annotated[:] = False
    with pytest.raises(ValueError, match='no joint is annotated'):
        match_joints([people], [poses])


def ap_of(annotated, found, thr=0.5, **options):
    return match_joints(annotated, found, thr, **options).table()


def pair():
    """Two people, and poses of both."""
    return truth(at(0), at(90)), predicted(at(0), at(90), scores=[0.9, 0.8])


def test_columns_and_perfect_poses():
    people, poses = pair()
    table = ap_of([people], [poses])
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
    found = predicted(*(at(y) for y, _ in poses), scores=[s for _, s in poses])
    table = ap_of([truth(*map(at, people))], [found])
    for value in table.values():
        assert value == pytest.approx(expected)


def test_a_wrong_joint_by_hand():
    """Left elbow of one of two people: 1 of 2 right, the wrong one first."""
    people, poses = pair()
    poses.keypoints[0, LEFT_ELBOW] += 6
    table = ap_of([people], [poses])
    # precision 1 / 2 at a recall of 1 / 2
    assert table['Elbow'] == pytest.approx((100 + 25) / 2)
    assert table['Total'] == pytest.approx((13 * 100 + 25) / 14)
    assert {table[c] for c in COLUMNS if c != 'Elbow'} == {100.0}
    # with its own low score the wrong joint comes last
    poses.scores[0, LEFT_ELBOW] = 0.1
    assert ap_of([people], [poses])['Elbow'] == pytest.approx((100 + 50) / 2)


def test_units_nobody_is_predicted_in():
    """One of two people is found: half of the recall, or the toolkit's all."""
    units = [truth(at(0)), truth(at(0))], [predicted(at(0)), predicted()]
    assert set(ap_of(*units).values()) == {50}
    assert set(ap_of(*units, empty_units='toolkit').values()) == {100}
    # all units are empty: there is no recall
    nobody = units[0], [predicted(), predicted()]
    assert set(ap_of(*nobody).values()) == {0}
    table = ap_of(*nobody, empty_units='toolkit')
    assert all(map(math.isnan, table.values()))


@pytest.mark.parametrize('options', OPTIONS)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_equals_plain_loops(options, seed):
    annotated, found = random_units(seed)
    if not any(each.annotated.any() for each in annotated):
        return
    for thr in (0.5, 0.2):
        expected = brute_force.multi_person_ap(
            annotated, found, thr, **options
        )
        table = ap_of(annotated, found, thr, **options)
        np.testing.assert_array_equal(
            list(table.values()), list(expected.values())
        )
        assert list(table) == list(expected)
        lenient = {**options, 'unannotated': 'ignore'}
        lenient = ap_of(annotated, found, thr, **lenient)
        assert not lenient['Total'] < table['Total']


def test_real_predictions(shared_dir):
    """2,958 real poses: PCKh by hand, and the loops' AP exactly."""
    folder = shared_dir / 'data' / 'mpii'
    annotated, found = real_units(
        folder / 'valid.h5', folder / 'single_person_predictions.mat'
    )
    matched = match_joints(annotated, found)
    right, alone = [], []
    for people, poses in zip(annotated, found, strict=True):
        offset = poses.keypoints - people.keypoints
        distance = np.hypot(offset[..., 0], offset[..., 1])
        near = distance / people.head_sizes[:, None] <= 0.5
        right.append(near & people.annotated)
        alone += [len(near) == 1] * len(near)
    right = np.concatenate(right)
    assert len(right) == 2958
    # of the joints of one image and person, those of the PCKh are right
    assert (matched.correct[alone] == right[alone]).all()
    assert right.sum() / matched.positives.sum() > 0.8
    table = matched.table()
    assert table == brute_force.multi_person_ap(annotated, found)
    lenient = ap_of(annotated, found, unannotated='ignore')
    assert table['Total'] == pytest.approx(64.636, abs=5e-4)
    assert lenient['Total'] == pytest.approx(68.206, abs=5e-4)


IMAGES = (8, 8, 3, 5, 5, 9)  # of the units, groups of people


@pytest.fixture(scope='module')
def units():
    """Groups with missing joints, misses, duplicates and false alarms."""
    annotated, found = random_units(4, units=6)
    rng = np.random.default_rng(0)
    for each in found:  # no ties
        each.scores[:] = rng.random(each.scores.shape)
    return annotated, found


def matches_of(units, **options):
    return match_joints(*units, **options, image_ids=IMAGES)


@pytest.mark.parametrize('column', ['Wrist', 'Total'])
@pytest.mark.parametrize('options', OPTIONS)
def test_resamples_equal_data_with_copies(units, options, column):
    matches = matches_of(units, **options).of_column(column)
    assert matches.image_ids == (3, 5, 8, 9)
    value = ap_of(*units, **options)[column]
    assert 10 < value < 90
    np.testing.assert_allclose(matches.ap(), [value])
    rng = np.random.default_rng(1)
    counts = rng.integers(0, 4, (12, 4))
    for row, found in zip(counts, matches.ap(counts), strict=True):
        times = dict(zip(matches.image_ids, row, strict=True))
        copies = [
            [unit for unit, i in zip(side, IMAGES, strict=True)
             for _ in range(times[i])]
            for side in units
        ]  # fmt: skip
        assert found == pytest.approx(ap_of(*copies, **options)[column])


def test_resamples_in_parts_and_from_a_file(units, monkeypatch, tmp_path):
    matches = matches_of(units)
    counts = np.random.default_rng(2).integers(0, 3, (31, 4))
    expected = matches.ap(counts)
    matches.save(tmp_path / 'matches.npz')
    monkeypatch.setattr('rmpe_spm.mpii.ap._CELLS', 100)
    again = MpiiMatches.load(tmp_path / 'matches.npz')
    assert again.image_ids == matches.image_ids
    np.testing.assert_array_equal(again.ap(counts), expected)


def test_nobody_annotated_and_nobody_predicted(units):
    assert np.isnan(matches_of(units).ap(np.zeros((1, 4), int))).all()
    none = [predicted() for _ in IMAGES]
    assert matches_of((units[0], none)).ap().tolist() == [0]
