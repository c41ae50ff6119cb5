import copy

import numpy as np
import pytest

from rmpe_spm.rmpe.pgpg_matching import match_detections, match_people
from rmpe_spm.rmpe.proposals import bbox_iou

NAMES = ['left_shoulder', 'right_shoulder', 'left_hip', 'right_hip']


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


@pytest.mark.parametrize('min_iou', [0.1, 0.5])
def test_match_detections_equals_brute_force(min_iou):
    rng = np.random.default_rng(0)
    num_matches = 0
    for _ in range(100):
        num_people, num_detections = rng.integers(0, 6), rng.integers(0, 12)
        corners = rng.uniform(0, 40, (num_people, 2))
        sizes = rng.uniform(20, 40, (num_people, 2))
        bboxes = np.hstack([corners, corners + sizes])
        detections = rng.uniform(0, 40, (num_detections, 4))
        detections[:, 2:] = detections[:, :2] + rng.uniform(
            20, 40, (num_detections, 2)
        )
        scores = rng.random(num_detections)
        matches = match_detections(bboxes, detections, scores, min_iou)
        assert matches.tolist() == brute_force(
            bboxes.tolist(), detections.tolist(), scores.tolist(), min_iou
        )
        num_matches += (matches >= 0).sum()
    assert num_matches > 50


def test_the_better_score_goes_first():
    bboxes = np.array([[0, 0, 10, 10.0]])
    detections = np.array([[0, 0, 10, 10.0], [0, 0, 10, 8]])
    matches = match_detections(bboxes, detections, np.array([0.3, 0.9]))
    assert matches.tolist() == [1]


def make_annotations():
    pose = [12, 12, 2, 18, 12, 1, 12, 20, 2, 0, 0, 0]
    person = dict(category_id=5, iscrowd=0, keypoints=pose)
    return dict(
        images=[dict(id=1, width=101, height=61)],
        categories=[
            dict(id=2, name='dog'),
            dict(id=5, name='person', keypoints=NAMES),
        ],
        annotations=[
            dict(person, id=10, image_id=1, bbox=[10, 10, 20, 40]),
            # reaches beyond the image: clipped to [80, 10, 100, 50]
            dict(person, id=11, image_id=1, bbox=[80, 10, 30, 40]),
            dict(
                person,
                id=12,
                image_id=1,
                bbox=[40, 10, 10, 10],
                keypoints=[0] * 12,
            ),
            dict(person, id=13, image_id=1, bbox=[60, 10, 0, 10]),
            dict(person, id=14, image_id=1, bbox=[0, 0, 100, 60], iscrowd=1),
            dict(person, id=15, image_id=1, bbox=[1, 1, 9, 9], category_id=2),
        ],
    )


def make_detections():
    entry = dict(image_id=1, category_id=5, score=0.9)
    return [
        dict(entry, bbox=[11, 8, 21, 44]),
        dict(entry, bbox=[78, 10, 60, 38]),
        dict(entry, bbox=[40, 10, 10, 10]),
        dict(entry, bbox=[10, 10, 20, 40], score=0.05),
        dict(entry, bbox=[10, 10, 20, 40], image_id=2),
        dict(entry, bbox=[10, 10, 20, 40], category_id=2),
        dict(entry, bbox=[10, 10, float('nan'), 40]),
        dict(entry, bbox=[200, 10, 20, 40]),
    ]


def test_match_people_by_hand():
    people = match_people(make_annotations(), make_detections())
    assert people.keypoint_names == NAMES
    assert people.keypoints.shape == (2, 4, 2)
    np.testing.assert_array_equal(
        people.keypoints[0], [[12, 12], [18, 12], [12, 20], [0, 0]]
    )
    np.testing.assert_array_equal(people.visible, [[1, 1, 1, 0]] * 2)
    np.testing.assert_allclose(
        people.offsets,
        [
            [1 / 20, -2 / 40, 2 / 20, 2 / 40],
            [-2 / 20, 0, 0, -2 / 40],
        ],
    )
    assert people.counts == dict(
        images=1,
        people=4,
        people_without_keypoints=1,
        people_with_unusable_boxes=1,
        detections=8,
        detections_of_unlisted_images=1,
        detections_of_other_categories=1,
        detections_below_score=1,
        detections_with_unusable_boxes=2,
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


@pytest.mark.parametrize('key', ['images', 'annotations', 'categories'])
def test_other_annotations_are_refused(key):
    annotations = make_annotations()
    del annotations[key]
    with pytest.raises(ValueError, match=f'no {key!r}'):
        match_people(annotations, [])


def test_categories_without_keypoints_are_refused():
    annotations = make_annotations()
    del annotations['categories'][1]['keypoints']
    with pytest.raises(ValueError, match="lists its 'keypoints'"):
        match_people(annotations, [])


def test_a_wrong_number_of_keypoints_is_refused():
    annotations = copy.deepcopy(make_annotations())
    annotations['annotations'][0]['keypoints'] = [1, 2, 2]
    with pytest.raises(ValueError, match='annotation 10 of image 1 has 3'):
        match_people(annotations, [])


@pytest.mark.parametrize(
    ('detections', 'message'),
    [
        ({}, 'not a list'),
        ([dict(image_id=1, score=1)], 'entry 0'),
        ([dict(image_id=1, score=1, bbox=[1, 2, 3])], 'entry 0'),
        ([dict(image_id=1, score='x', bbox=[1, 2, 3, 4])], 'entry 0'),
    ],
)
def test_other_detections_are_refused(detections, message):
    with pytest.raises(ValueError, match=message):
        match_people(make_annotations(), detections)
