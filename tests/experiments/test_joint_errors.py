import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmpe_spm.coco.ground_truth import ImageGroundTruth, PoseSet
from rmpe_spm.experiments.spm_comparison import (
    JointErrors,
    group_joints,
    joint_errors,
    keep_common,
    match_by_other_joints,
    mean_by_distance,
)


def make_truth(points, visible=None, area=100.0, crowd=None):
    points = np.asarray(points, float)
    num_people, num_joints = points.shape[:2]
    if visible is None:
        visible = np.full((num_people, num_joints), 2)
    return ImageGroundTruth(
        np.concatenate((points, np.asarray(visible)[..., None]), -1),
        np.zeros((num_people, 4)),
        np.broadcast_to(np.asarray(area, float), (num_people,)),
        np.zeros(num_people, bool) if crowd is None else np.array(crowd),
    )


def make_set(*images):
    """Images of poses, scores and truth as a PoseSet."""
    keypoints, scores, truths = zip(*images, strict=True)
    return PoseSet(
        list(range(len(images))),
        list(truths),
        [np.asarray(k, float) for k in keypoints],
        [np.ones(np.shape(k)[:2]) for k in keypoints],
        [np.zeros((len(k), 4)) for k in keypoints],
        [np.asarray(s, float) for s in scores],
    )


SQUARE = np.array([[0, 0], [8, 0], [0, 6], [8, 6.0]])


def test_hand_computed_errors():
    pose = SQUARE + [[3, 4], [0, 0], [0, 0], [0, 1]]
    result = joint_errors(make_set(([pose], [0.5], make_truth([SQUARE]))))
    np.testing.assert_allclose(result.errors, [[0.5, 0, 0, 0.1]])
    np.testing.assert_allclose(result.root_distances, [[0.5] * 4])


def test_unlabelled_joints_do_not_count():
    truth = make_truth(
        [[[0, 0], [8, 0], [0, 6], [8, 6], [999, 999]]], [[1, 2, 2, 2, 0]]
    )
    pose = np.concatenate((SQUARE + 1, [[-50, 70]]))
    result = joint_errors(make_set(([pose], [0.5], truth)))
    expected = [[0.02**0.5] * 4 + [np.nan]]
    np.testing.assert_allclose(result.errors, expected)
    np.testing.assert_allclose(result.root_distances, [[0.5] * 4 + [np.nan]])


def test_a_joint_is_not_matched_by_its_own_error():
    pose = SQUARE.copy()
    pose[2] += 1000
    truth = make_truth([SQUARE])
    matches = match_by_other_joints(pose[None], [1.0], truth)
    np.testing.assert_array_equal(matches, [[-1], [-1], [0], [-1]])
    result = joint_errors(make_set(([pose], [1.0], truth)))
    assert result.errors[0, 2] == pytest.approx(2**0.5 * 100)
    assert np.isnan(result.errors[0, [0, 1, 3]]).all()


def test_who_is_left_out():
    three = [[2, 2, 2, 0], [2, 2, 2, 2], [2, 2, 2, 2]]
    truth = make_truth(
        [SQUARE, SQUARE, SQUARE], three, [100, 0, 100], [False, False, True]
    )
    matches = match_by_other_joints(SQUARE[None], [1.0], truth)
    # only for the unlabelled joint are there three others
    np.testing.assert_array_equal(matches[:3], np.full((3, 3), -1))
    result = joint_errors(make_set(([SQUARE], [1.0], truth)))
    assert np.isnan(result.errors).all()
    assert np.isnan(result.root_distances[1]).all()


def test_images_without_poses_or_people():
    nobody = make_truth(np.zeros((0, 4, 2)))
    result = joint_errors(
        make_set(
            (np.zeros((0, 4, 2)), [], make_truth([SQUARE])),
            ([SQUARE], [1.0], nobody),
            ([SQUARE], [1.0], make_truth([SQUARE])),
        )
    )
    np.testing.assert_array_equal(result.errors, [[np.nan] * 4, [0] * 4])


def brute_force_match(poses, scores, truth, max_distance):
    num_people, num_joints = truth.keypoints.shape[:2]
    matches = np.full((num_joints, num_people), -1)
    for joint in range(num_joints):
        for index in sorted(range(len(poses)), key=lambda i: -scores[i]):
            best, nearest = np.inf, None
            for person in range(num_people):
                used = truth.keypoints[person, :, 2] > 0
                used[joint] = False
                if matches[joint, person] >= 0 or used.sum() < 3:
                    continue
                gap = poses[index][used].mean(0)
                gap = gap - truth.keypoints[person, used, :2].mean(0)
                gap = np.hypot(*gap) / truth.areas[person] ** 0.5
                if gap <= max_distance and gap < best:
                    best, nearest = gap, person
            if nearest is not None:
                matches[joint, nearest] = index
    return matches


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31 - 1), st.integers(0, 6), st.integers(0, 5))
def test_agrees_with_brute_force(seed, num_poses, num_people):
    rng = np.random.default_rng(seed)
    truth = make_truth(
        rng.uniform(0, 40, (num_people, 7, 2)),
        rng.integers(0, 3, (num_people, 7)),
        rng.uniform(50, 900, num_people),
    )
    poses = rng.uniform(0, 40, (num_poses, 7, 2))
    scores = rng.uniform(size=num_poses)
    matches = match_by_other_joints(poses, scores, truth)
    expected = brute_force_match(poses, scores, truth, 0.5)
    np.testing.assert_array_equal(matches, expected)
    # neither the order of the poses nor the image's scale matters
    order = rng.permutation(num_poses)
    before = joint_errors(make_set((poses, scores, truth)))
    after = joint_errors(
        make_set(
            (
                3 * poses[order],
                scores[order],
                make_truth(
                    3 * truth.keypoints[..., :2],
                    truth.keypoints[..., 2],
                    9 * truth.areas,
                ),
            )
        )
    )
    np.testing.assert_allclose(after.errors, before.errors)
    np.testing.assert_allclose(after.root_distances, before.root_distances)


def test_only_common_joints_are_kept():
    nan = np.nan
    distances = np.array([[1.0, 2.0, 3.0, nan]])
    one = JointErrors(np.array([[0.1, nan, 0.3, nan]]), distances)
    two = JointErrors(np.array([[nan, nan, 0.2, nan]]), distances)
    first, second = keep_common([one, two])
    np.testing.assert_array_equal(first.errors, [[nan, nan, 0.3, nan]])
    np.testing.assert_array_equal(second.errors, [[nan, nan, 0.2, nan]])
    np.testing.assert_array_equal(first.root_distances, [[nan, nan, 3, nan]])
    other = JointErrors(one.errors, distances + 1)
    with pytest.raises(ValueError, match='same annotations'):
        keep_common([one, other])


def test_joints_are_grouped_by_name():
    names = ['nose', 'left_eye', 'right_eye', 'left_hip', 'head', 'right_hip']
    assert group_joints(names) == dict(
        nose=[0], eye=[1, 2], hip=[3, 5], head=[4]
    )


def test_errors_by_distance():
    distances = np.array([[0.0, 1.0, 2.0, 3.0, 4.0, np.nan]])
    errors = np.array([[1.0, 3.0, 5.0, np.nan, 9.0, 7.0]])
    result = JointErrors(errors, distances)
    means = mean_by_distance(result, np.array([0, 2, 4]))
    np.testing.assert_array_equal(means, [2, 7])
    empty = mean_by_distance(result, np.array([0, 2.5, 3.5]))
    np.testing.assert_array_equal(empty, [3, np.nan])
