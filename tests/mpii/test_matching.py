"""The assignment of poses to people, by hand."""

import numpy as np
import pytest
from mpii_poses import BASE, at, predicted, truth

from rmpe_spm.mpii.ap import match_joints


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
    for option in ('unannotated', 'empty_units'):
        with pytest.raises(ValueError, match=f"{option} 'both' is not one"):
            match_joints([people], [poses], **{option: 'both'})
    people.annotated[:] = False
    with pytest.raises(ValueError, match='no joint is annotated'):
        match_joints([people], [poses])
