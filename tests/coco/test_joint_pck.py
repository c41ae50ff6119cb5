import numpy as np
import pytest

from rmpe_spm.coco.ground_truth import ImageGroundTruth, PoseSet
from rmpe_spm.coco.joint_errors import joint_pck

# joints of a person of area 100 x 100
PERSON = np.array([[0, 0], [100, 0], [100, 100], [0, 100], [50, 50.0]])


def truth(*people, labelled=None, crowd=None, area=1e4):
    number = len(people)
    points = np.array(people, dtype=float).reshape(number, 5, 2)
    labels = np.full((number, 5), 2.0)
    if labelled is not None:
        labels[:] = labelled
    return ImageGroundTruth(
        np.concatenate([points, labels[..., None]], -1),
        np.zeros((number, 4)),
        np.full(number, area),
        np.zeros(number, bool) if crowd is None else np.array(crowd),
    )


def pose_set(truths, poses):
    poses = [np.array(each, dtype=float).reshape(-1, 5, 2) for each in poses]
    return PoseSet(
        list(range(len(truths))),
        truths,
        poses,
        [np.ones(each.shape[:2]) for each in poses],
        [np.zeros((len(each), 4)) for each in poses],
        [np.ones(len(each)) for each in poses],
    )


def moved(*offsets):
    """The person with joints moved to the right by so many pixels."""
    pose = PERSON.copy()
    pose[:, 0] += offsets
    return pose


def test_within_a_part_of_the_person_s_size():
    """0.1 of sqrt(1e4) is 10 pixels."""
    found = pose_set([truth(PERSON)], [[moved(0, 9.9, 10, 10.1, -11)]])
    np.testing.assert_array_equal(joint_pck(found), [1, 1, 1, 0, 0])
    np.testing.assert_array_equal(joint_pck(found, 0.05), [1, 0, 0, 0, 0])


def test_missed_people_are_misses():
    truths = [truth(PERSON, PERSON + 1000), truth(PERSON)]
    found = pose_set(truths, [[PERSON], []])
    np.testing.assert_allclose(joint_pck(found), 1 / 3)


def test_false_poses_do_not_matter():
    found = pose_set([truth(PERSON)], [[PERSON, PERSON + 5000]])
    np.testing.assert_array_equal(joint_pck(found), 1)


@pytest.mark.parametrize(
    'ignored',
    [
        truth(PERSON, crowd=[True]),
        truth(PERSON, area=0.0),
        truth(PERSON, labelled=0),
        truth(PERSON, labelled=[2, 2, 2, 0, 0]),  # too few to match
    ],
)
def test_what_is_not_counted(ignored):
    found = pose_set([truth(PERSON), ignored], [[PERSON], []])
    np.testing.assert_array_equal(joint_pck(found), 1)


def test_joints_without_label():
    found = pose_set(
        [truth(PERSON, labelled=[2, 2, 2, 2, 0]), truth(PERSON)],
        [[PERSON], []],
    )
    np.testing.assert_array_equal(joint_pck(found), [0.5] * 4 + [0])
    nobody = pose_set([truth(PERSON, labelled=[2, 2, 2, 2, 0])], [[PERSON]])
    np.testing.assert_array_equal(joint_pck(nobody), [1, 1, 1, 1, np.nan])
