"""Annotated people and the OKS of poses with them, by hand."""

import numpy as np
import pytest

from rmpe_spm.coco.ground_truth import (
    FlatGroundTruth,
    ImageGroundTruth,
    pairs_within,
)


def truth(keypoints, visible=2, crowd=False, area=100.0):
    joints = np.c_[keypoints, np.full(len(keypoints), visible)]
    return ImageGroundTruth(
        joints[None], np.array([[0.0, 0, 10, 10]]), np.array([area]),
        np.array([crowd]),
    )  # fmt: skip


def test_oks_by_hand():
    person = np.array([[0.0, 0.0], [10.0, 0.0]])
    one = truth(person, area=100.0)
    one.keypoints[0, 1, 2] = 0
    poses = np.array([[[3.0, 4.0], [99.0, 99.0]], [[0.0, 0], [0, 0]]])
    nobody = truth(person, visible=0)
    people = FlatGroundTruth([one, nobody])
    oks = people.oks(
        poses[[0, 1, 0, 1]], np.array([0, 0, 1, 1]), np.full(2, 0.5)
    )
    # 25 / (1^2 * 100 * 2), the second joint isn't labelled; for the other
    # person (99, 99) is 79 beyond the box (-10, -10, 20, 20)
    np.testing.assert_allclose(
        oks,
        [np.exp(-0.125), 1, (1 + np.exp(-2 * 79**2 / 200)) / 2, 1],
    )
    assert nobody.ignored.tolist() == [True]
    assert one.ignored.tolist() == [False]


def test_nobody_annotated():
    with pytest.raises(ValueError, match='no person with labelled'):
        FlatGroundTruth([truth(np.zeros((1, 2)), visible=0)])


def test_who_is_ignored_in_crowdpose():
    people = truth(np.zeros((2, 2)))
    for number, ignored in ((0, True), (1, False)):
        people.num_keypoints = np.array([number])
        assert people.ignored.tolist() == [ignored]
    people.crowd[:] = True
    assert people.ignored.tolist() == [True]


def test_pairs_of_the_same_image():
    pose, person = pairs_within(
        np.array([2, 0, 1]), np.array([0, 2, 2]), np.array([0, 0, 1, 2])
    )
    assert pose.tolist() == [0, 0, 1, 1, 3]
    assert person.tolist() == [0, 1, 0, 1, 2]
