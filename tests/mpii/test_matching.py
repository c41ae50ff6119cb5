"""The assignment of poses to people, by hand."""

import numpy as np
import pytest

from rmpe_spm.mpii.ap import AnnotatedPoses, PredictedPoses, match_joints

# head size 10: a joint matches within 5 pixels
BASE = np.stack([np.arange(14) * 30.0, np.zeros(14)], 1)
RIGHT_ELBOW, LEFT_WRIST = 9, 13


def truth(*poses, annotated=None, heads=10.0):
    poses = np.array(poses, float).reshape(-1, 14, 2)
    if annotated is None:
        annotated = np.ones(poses.shape[:2], bool)
    return AnnotatedPoses(poses, annotated, np.full(len(poses), heads))


def predicted(*poses, scores=None, present=None):
    poses = np.array(poses, float).reshape(-1, 14, 2)
    if scores is None:
        scores = np.ones(len(poses))
    scores = np.repeat(np.array(scores, float)[:, None], 14, 1)
    return PredictedPoses(poses, scores, present)


def at(y, wrong=0):
    """A pose in the row y, the first ``wrong`` joints far off."""
    pose = BASE + [0, y]
    pose[:wrong] += 1000
    return pose


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


def test_fraction_of_matches_decides_not_the_score():
    # second pose: all 14 joints, but a lower score
    found = match_joints(
        [truth(BASE)], [predicted(at(0, 3), at(0), scores=[0.9, 0.1])]
    )
    assert found.assigned.tolist() == [-1, 0]
    assert not found.correct[0].any() and found.correct[1].all()
    assert found.counted.all()


def test_fraction_is_of_the_annotated_joints():
    """2 of 2 joints are more than 12 of 14."""
    annotated = np.ones((2, 14), bool)
    annotated[1, 2:] = False
    people = truth(at(0, 2), at(3), annotated=annotated)
    found = match_joints([people], [predicted(at(0))])
    assert found.assigned.tolist() == [1]
    assert found.correct[0].tolist() == [True] * 2 + [False] * 12
    # the joints that person lacks don't count, unless told so
    assert found.counted[0].tolist() == [True] * 2 + [False] * 12
    strict = match_joints(
        [people], [predicted(at(0))], unannotated='false_positive'
    )
    assert strict.counted.all() and (strict.correct == found.correct).all()
    assert found.positives.tolist() == [[2, 2] + [1] * 12]


def test_who_loses_does_not_choose_again():
    """Both poses choose the first person; the second person stays free."""
    people = truth(at(0), at(4))
    found = match_joints([people], [predicted(at(1, 1), at(1))])
    assert found.assigned.tolist() == [-1, 0]


def test_ties_go_to_the_first():
    people = truth(at(0), at(0))
    found = match_joints([people], [predicted(at(1), at(2))])
    assert found.assigned.tolist() == [0, -1]


def test_no_match_no_assignment():
    found = match_joints([truth(at(0))], [predicted(at(500))])
    assert found.assigned.tolist() == [-1] and found.counted.all()


def test_units_are_apart():
    """The same pixels in another image are another person."""
    units = [truth(), truth(at(0)), truth(at(9)), truth(at(0), at(90))]
    poses = [
        predicted(at(0)),
        predicted(),
        predicted(at(0)),
        predicted(at(90)),
    ]
    found = match_joints(units, poses)
    assert found.assigned.tolist() == [-1, -1, 3]
    assert found.positives.tolist() == [[n] * 14 for n in (0, 1, 1, 2)]
    assert found.image.tolist() == [0, 2, 3]


def test_joints_that_are_not_predicted():
    present = np.ones((1, 14), bool)
    present[0, RIGHT_ELBOW] = False
    pose = at(0)
    pose[RIGHT_ELBOW] = np.nan
    found = match_joints([truth(at(0))], [predicted(pose, present=present)])
    assert (found.counted == present).all() and (
        found.correct == present
    ).all()


def test_people_without_joints_need_no_head():
    annotated = np.ones((2, 14), bool)
    annotated[0] = False
    people = truth(at(0), at(0), annotated=annotated)
    people.head_sizes[0] = np.nan
    found = match_joints([people], [predicted(at(0))])
    assert found.assigned.tolist() == [1]


def test_what_is_refused():
    good, pose = truth(at(0)), predicted(at(0))

    def refused(match, people=good, poses=pose, **options):
        with pytest.raises(ValueError, match=match):
            match_joints([good, people], [pose, poses], **options)

    with pytest.raises(ValueError, match='1 units are annotated, but 2'):
        match_joints([good], [pose, pose])
    refused("not 'both'", unannotated='both')
    for size in (np.nan, 0.0, -1.0):
        refused('unit 1: person 0 has the head size', truth(at(0), heads=size))
    nan = at(0)
    nan[LEFT_WRIST, 1] = np.nan
    refused('annotations of unit 1: person 1 .* left_wrist', truth(at(0), nan))
    refused(
        'predictions of unit 1: person 1 .* left_wrist at .* nan',
        poses=predicted(at(0), nan),
    )
    refused(
        'predictions of unit 1: person 1 .* right_ankle .* score inf',
        poses=predicted(at(0), at(0), scores=[1, np.inf]),
    )
    refused(
        r'predictions of unit 1: keypoints .*\(1, 16, 2\).* \(1, 14, 2\)',
        poses=PredictedPoses(np.zeros((1, 16, 2)), np.zeros((1, 16))),
    )
    refused(
        r'predictions of unit 1: scores .*\(2, 14\)',
        poses=PredictedPoses(pose.keypoints, np.ones((2, 14))),
    )
    refused(
        'annotations of unit 1: annotated',
        AnnotatedPoses(good.keypoints, np.ones((1, 15), bool), np.ones(1)),
    )
