"""Matching detections with people, and fitting what differs."""

from dataclasses import replace

import numpy as np
import pytest
from pgpg_models import LYING, NAMES, SEEN, UPRIGHT

from rmpe_spm.rmpe.pgpg_fitting import (
    FitSettings,
    MatchedPeople,
    fit_offsets,
    fit_proposal_model,
    match_detections,
    match_people,
)
from rmpe_spm.rmpe.pgpg_model import cluster_poses, proposal_model_to_dict
from rmpe_spm.rmpe.proposals import bbox_iou

BENT = UPRIGHT * [[-1, 1]] + [[0.9, 0.8], [0, 0], [0, 0], [0, 0], [0, 0]]
POSES = np.stack([UPRIGHT, LYING, BENT])


def make_people(num=600, share_hidden=0.2, seed=0):
    """Two kinds of people, whose offsets differ, and some without torso."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(2, size=num)
    poses = POSES[kind] + rng.normal(0, 0.03, (num, 5, 2))
    scale = rng.uniform(20, 90, (num, 1, 1))
    keypoints = poses * scale + rng.uniform(0, 400, (num, 1, 2))
    visible = np.ones((num, 5), bool)
    visible[:, 0] = rng.random(num) > share_hidden
    visible[: num // 10, 3:] = False  # no hips
    centre = np.array([[0.1, 0, 0, 0.05], [-0.1, 0.1, 0, -0.05]])
    offsets = centre[kind] + rng.normal(0, 0.03, (num, 4))
    offsets[1::10] = np.nan
    return MatchedPeople(NAMES, keypoints, visible, offsets), kind


def test_a_missing_joint_does_not_pull_a_pose_to_another_atom():
    """A missing head is 0, which is nearer to the second atom's head."""
    bowed = UPRIGHT + [[0.15, 0.5], *[[0.15, 0]] * 4]
    kind = np.repeat([0, 1], [120, 80])
    rng = np.random.default_rng(0)
    aligned = np.stack([UPRIGHT, bowed])[kind]
    aligned = aligned + rng.normal(0, 0.01, aligned.shape)
    visible = np.ones((200, 5), bool)
    visible[:40, 0] = False
    aligned[~visible] = 0
    atoms = cluster_poses(aligned, visible, 2, seed=0)
    expected = [aligned[kind == 0], aligned[kind == 1]]
    np.testing.assert_allclose(atoms[0, 1:], expected[0].mean(0)[1:])
    np.testing.assert_allclose(atoms[0, 0], aligned[40:120, 0].mean(0))
    np.testing.assert_allclose(atoms[1], expected[1].mean(0))


def test_fit_offsets_finds_the_mixtures():
    rng = np.random.default_rng(0)
    num = 3000
    offsets = rng.normal(0, [0.05, 0.1, 0.02, 0.03], (num, 4))
    far = rng.random(num) < 0.3
    offsets[far, 0] += 0.6
    model = fit_offsets(offsets, max_components=3)
    np.testing.assert_allclose(model.mean, offsets.mean(axis=0))
    np.testing.assert_allclose(model.std, offsets.std(axis=0))
    first = model.mixtures[0]
    # BIC takes two components for the side that has two, else one.
    assert [len(m.weights) for m in model.mixtures] == [2, 1, 1, 1]
    np.testing.assert_allclose(first.weights, [0.7, 0.3], atol=0.04)
    np.testing.assert_allclose(first.means, [0, 0.6], atol=0.01)
    # The floor of 0.01 adds to the variance.
    expected = np.sqrt(0.05**2 + 0.01**2)
    np.testing.assert_allclose(first.stds, [expected] * 2, rtol=0.08)


def test_fit_offsets_of_equal_offsets_has_a_width():
    model = fit_offsets(np.zeros((20, 4)))
    assert model.std == [0, 0, 0, 0]
    for mixture in model.mixtures:
        assert min(mixture.stds) == pytest.approx(0.01)


def test_fit_finds_atoms_and_their_offsets():
    people, kind = make_people()
    lines = []
    settings = FitSettings(
        candidates=(1, 2, 6), max_components=2, min_matches=30
    )
    model = fit_proposal_model(people, settings, report=lines.append)
    scores = model.atom_selection['scores']
    assert list(scores) == ['0', '1', '2', '6']
    assert len(lines) == 4
    # Two kinds of people, two atoms.
    assert len(model.atoms) == 2
    assert scores['2'] > scores['1'] + 0.5
    matched = ~np.isnan(people.offsets[:, 0])
    has_torso = np.arange(600) >= 60
    for number, pose in enumerate(POSES[:2]):
        index = model.atom_index(pose * 50 + 100, SEEN)
        group = model.atom_groups[index]
        own = (kind == number) & has_torso
        np.testing.assert_allclose(model.atoms[index], pose, atol=0.03)
        assert group.num_people == own.sum()
        assert group.num_matches == (own & matched).sum()
        np.testing.assert_allclose(
            group.offsets.mean, people.offsets[own & matched].mean(axis=0)
        )
    assert model.no_torso.num_people == 60
    assert model.everybody.num_people == 600
    assert model.everybody.num_matches == matched.sum()
    np.testing.assert_allclose(
        model.everybody.offsets.mean, people.offsets[matched].mean(axis=0)
    )


def test_the_score_is_that_of_held_out_people():
    """More atoms than the offsets support do not look better."""
    people, _ = make_people()
    rng = np.random.default_rng(5)
    people.offsets[:] = rng.normal(0, 0.05, people.offsets.shape)
    settings = FitSettings(candidates=(1, 8), max_components=2, min_matches=8)
    model = fit_proposal_model(people, settings)
    scores = model.atom_selection['scores']
    assert scores['8'] < scores['1']
    # The mean log-density of the distribution that they come from.
    expected = -4 * (0.5 + np.log(0.05 * np.sqrt(2 * np.pi)))
    assert scores['0'] == pytest.approx(expected, abs=0.15)


def test_too_few_matches_take_the_global_offsets():
    people, kind = make_people()
    people.offsets[(kind == 1)] = np.nan
    people.offsets[np.flatnonzero(kind == 1)[-20:]] = 0.1
    settings = FitSettings(num_atoms=2, min_matches=30)
    model = fit_proposal_model(people, settings)
    assert model.atom_selection == {'criterion': 'given'}
    upright, lying = (
        model.atom_groups[model.atom_index(pose, SEEN)] for pose in POSES[:2]
    )
    assert upright.offsets is not None
    assert lying.num_matches == 20
    assert lying.offsets is None
    assert model.offsets_of(LYING, SEEN) is (model.everybody.offsets)


def test_same_seed_same_model():
    people, _ = make_people(num=120)
    settings = FitSettings(candidates=(2,), max_components=2, min_matches=20)
    first, second, other = (
        proposal_model_to_dict(
            fit_proposal_model(people, replace(settings, seed=seed))
        )
        for seed in (0, 0, 1)
    )
    assert first == second
    assert first['atom_selection'] != other['atom_selection']


def test_people_that_cannot_be_fitted_are_told():
    people, _ = make_people(num=50)
    people.visible[:, 1:3] = False
    with pytest.raises(ValueError, match='shoulder and a hip'):
        fit_proposal_model(people)
    people.offsets[:] = np.nan
    people.counts = {'detections_of_unlisted_images': 77}
    with pytest.raises(ValueError, match=r'only 0 of 50.*unlisted_images.*77'):
        fit_proposal_model(people)


CORNERS = NAMES[1:]


def brute_force(bboxes, detections, scores, min_iou):
    """One detection after the other, in plain loops."""
    matches = [-1] * len(bboxes)
    order = sorted(range(len(scores)), key=lambda index: -scores[index])
    for index in order:
        best, best_iou = None, min_iou
        for number, box in enumerate(bboxes):
            iou = bbox_iou(tuple(box), tuple(detections[index]))
            if matches[number] < 0 and iou >= best_iou:
                if best is not None and iou == best_iou:
                    continue
                best, best_iou = number, iou
        if best is not None:
            matches[best] = index
    return matches


# (x, y, w, h) @ this = (x, y, x + w, y + h)
CORNERS_OF_XYWH = np.eye(4) + np.eye(4, k=2)


@pytest.mark.parametrize('min_iou', [0.1, 0.5])
def test_match_detections_equals_brute_force(min_iou):
    rng = np.random.default_rng(0)
    num_matches = 0
    for _ in range(100):
        num_people, num_detections = rng.integers(0, 6), rng.integers(0, 12)
        bboxes, detections = (
            rng.uniform((0, 0, 20, 20), 40, (num, 4)) @ CORNERS_OF_XYWH
            for num in (num_people, num_detections)
        )
        scores = rng.random(num_detections)
        matches = match_detections(bboxes, detections, scores, min_iou)
        assert matches.tolist() == brute_force(
            bboxes.tolist(), detections.tolist(), scores.tolist(), min_iou
        )
        num_matches += (matches >= 0).sum()
    assert num_matches > 50


def make_annotations():
    pose = [12, 12, 2, 18, 12, 1, 12, 20, 2, 0, 0, 0]
    person = dict(category_id=5, iscrowd=0, keypoints=pose)
    unseen = dict(person, keypoints=[0] * 12)
    return dict(
        images=[dict(id=1, width=101, height=61)],
        categories=[
            dict(id=2, name='dog'),
            dict(id=5, name='person', keypoints=CORNERS),
        ],
        annotations=[
            dict(person, id=10, image_id=1, bbox=[10, 10, 20, 40]),
            # reaches beyond the image: clipped to [80, 10, 100, 50]
            dict(person, id=11, image_id=1, bbox=[80, 10, 30, 40]),
            dict(unseen, id=12, image_id=1, bbox=[40, 10, 10, 10]),
            dict(person, id=13, image_id=1, bbox=[60, 10, 0, 10]),
            dict(person, id=14, image_id=1, bbox=[0, 0, 100, 60], iscrowd=1),
            dict(person, id=15, image_id=1, bbox=[1, 1, 9, 9], category_id=2),
        ],
    )


def make_detections():
    boxes = [
        dict(bbox=[11, 8, 21, 44]),
        dict(bbox=[78, 10, 60, 38]),
        dict(bbox=[40, 10, 10, 10]),
        dict(bbox=[10, 10, 20, 40], score=0.05),
        dict(bbox=[10, 10, 20, 40], image_id=2),
        dict(bbox=[200, 10, 20, 40]),
    ]
    return [dict(image_id=1, category_id=5, score=0.9) | box for box in boxes]


def test_match_people_by_hand():
    people = match_people(make_annotations(), make_detections())
    assert people.keypoint_names == CORNERS
    assert people.keypoints.shape == (2, 4, 2)
    np.testing.assert_array_equal(
        people.keypoints[0], [[12, 12], [18, 12], [12, 20], [0, 0]]
    )
    np.testing.assert_array_equal(people.visible, [[1, 1, 1, 0]] * 2)
    np.testing.assert_allclose(
        people.offsets,
        [[1 / 20, -2 / 40, 2 / 20, 2 / 40], [-2 / 20, 0, 0, -2 / 40]],
    )
    assert people.counts == dict(
        images=1,
        people=4,
        people_without_keypoints=1,
        people_with_unusable_boxes=1,
        detections=6,
        detections_of_unlisted_images=1,
        detections_below_score=1,
        detections_with_unusable_boxes=1,
        matched_people=2,
    )


def test_unmatched_people_have_no_offsets():
    people = match_people(make_annotations(), [])
    assert np.isnan(people.offsets).all()
    assert people.offsets.shape == (2, 4)
    # A better IoU than the detection has is asked for.
    people = match_people(make_annotations(), make_detections(), 0.8)
    assert np.isnan(people.offsets[0]).all()
    assert not np.isnan(people.offsets[1]).any()
