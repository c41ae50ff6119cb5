import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mpii_files import standing_person, write_release

from rmpe_spm.errors import ConfigError
from rmpe_spm.experiments.box_errors import (
    MIN_SIDE,
    amplify_errors,
    perturb_boxes,
    read_people,
    scale_boxes,
    shift_boxes,
    truncate_boxes,
)
from rmpe_spm.mpii.dataset import MpiiMultiPersonDataset

BOX = np.array([[10.0, 20.0, 50.0, 100.0]])  # 40 wide, 80 high
MANY = np.repeat(BOX, 400, axis=0)
DRAWN = [shift_boxes, scale_boxes, truncate_boxes]


def rng():
    return np.random.default_rng(0)


def some_boxes(count=5):
    corners = arrays(np.float64, (count, 2), elements=st.floats(-50, 200))
    sides = arrays(np.float64, (count, 2), elements=st.floats(0.01, 300))
    return st.builds(lambda c, s: np.hstack([c, c + s]), corners, sides)


def test_shift_is_as_long_as_asked_in_all_directions():
    shifted = shift_boxes(MANY, 0.25, rng())
    moves = shifted - MANY
    np.testing.assert_allclose(moves[:, :2], moves[:, 2:])
    x, y = moves[:, 0] / 40, moves[:, 1] / 80
    np.testing.assert_allclose(np.hypot(x, y), 0.25)
    quadrants = np.bincount((x > 0) * 2 + (y > 0), minlength=4)
    assert quadrants.min() > 70


def test_scale_is_about_the_centre_both_ways():
    scaled = scale_boxes(MANY, 0.25, rng())
    is_large = scaled[:, 0] < 10
    sizes = np.array([[14, 28, 46, 92], [5, 10, 55, 110]])
    np.testing.assert_allclose(scaled, sizes[is_large.astype(int)])
    assert 160 < is_large.sum() < 240


def test_truncation_cuts_one_side_inwards():
    cut = truncate_boxes(MANY, 0.25, rng())
    expected = np.repeat(BOX, 4, axis=0)
    expected[np.arange(4), np.arange(4)] = [20, 40, 40, 80]
    which = np.isclose(cut[:, None], expected[None]).all(axis=2)
    assert (which.sum(axis=1) == 1).all()
    assert which.sum(axis=0).min() > 70


def test_crossing_sides_leave_a_thin_box():
    # x: 10 + 4 * 15 = 70 and 50 - 4 * 5 = 30 cross, their middle is 50
    detection = np.array([[25.0, 20.0, 45.0, 100.0]])
    boxes = amplify_errors(BOX, detection, 4)
    half = MIN_SIDE / 2
    np.testing.assert_allclose(boxes, [[50 - half, 20, 50 + half, 100]])


@given(some_boxes(), some_boxes(), st.floats(0, 20))
def test_factors_0_and_1_are_exact_and_no_box_is_empty(
    boxes, detections, factor
):
    np.testing.assert_array_equal(amplify_errors(boxes, detections, 0), boxes)
    np.testing.assert_array_equal(
        amplify_errors(boxes, detections, 1), detections
    )
    result = amplify_errors(boxes, detections, factor)
    assert (result[:, 2:] > result[:, :2]).all()


@pytest.mark.parametrize('function', DRAWN)
@given(some_boxes(), st.floats(0, 0.99), st.integers(0, 99))
def test_drawn_boxes_are_not_empty(function, boxes, size, seed):
    before = boxes.copy()
    result = function(boxes, size, np.random.default_rng(seed))
    assert (result[:, 2:] > result[:, :2]).all()
    np.testing.assert_array_equal(boxes, before)


@pytest.mark.parametrize('function', DRAWN)
def test_the_direction_does_not_depend_on_the_size(function):
    boxes = MANY[:50]
    assert (function(boxes, 0, rng()) == boxes).all()
    small = function(boxes, 1e-3, rng()) - boxes
    large = function(boxes, 2e-3, rng()) - boxes
    np.testing.assert_allclose(large, 2 * small, rtol=2e-3)
    assert np.abs(small).max(axis=1).min() > 0
    assert function(np.zeros((0, 4)), 0.1, rng()).shape == (0, 4)


POSE = [20, 30, 2] * 17


def person(image_id, bbox, **changes):
    return dict(
        image_id=image_id,
        category_id=1,
        bbox=bbox,
        iscrowd=0,
        keypoints=POSE,
        num_keypoints=17,
        **changes,
    )


def detection(image_id, bbox, score):
    return dict(image_id=image_id, category_id=1, bbox=bbox, score=score)


@pytest.fixture
def annotations():
    return dict(
        images=[dict(id=i, width=200, height=150) for i in (1, 2, 3)],
        annotations=[
            person(1, [10, 20, 40, 80]),
            person(1, [100, 20, 40, 80]),
            # reaches out of the image: 180 to 199 is left
            person(2, [180, 0, 50, 100]),
        ],
    )


def xyxy(entries):
    boxes = np.array([entry['bbox'] for entry in entries])
    boxes[:, 2:] += boxes[:, :2]
    return boxes


@pytest.mark.parametrize('kind', ['shift', 'scale', 'truncation'])
def test_size_0_is_the_annotated_boxes(annotations, kind):
    entries = perturb_boxes(annotations, kind, 0)
    expected = [[10, 20, 50, 100], [100, 20, 140, 100], [180, 0, 199, 100]]
    np.testing.assert_allclose(xyxy(entries), expected)
    assert [entry['image_id'] for entry in entries] == [1, 1, 2]
    assert all(e['score'] == 1 and e['category_id'] == 1 for e in entries)


def test_seeds_have_their_directions(annotations):
    first, same, *others = (
        perturb_boxes(annotations, 'truncation', 0.25, seed=seed)
        for seed in (0, 0, 1, 2, 3, 4)
    )
    assert first == same and any(other != first for other in others)


def test_only_evaluated_people_have_boxes(annotations):
    annotations['annotations'] += [
        dict(person(3, [10, 10, 20, 20]), iscrowd=1),
        dict(person(3, [10, 10, 20, 20]), num_keypoints=0),
        dict(person(3, [10, 10, 20, 20]), keypoints=[0] * 51),
        person(3, [10, 10, 0, 20]),
        person(3, [300, 10, 20, 20]),
        person(3, [float('nan'), 10, 20, 20]),
    ]
    entries = perturb_boxes(annotations, 'shift', 0.1)
    assert [entry['image_id'] for entry in entries] == [1, 1, 2]


def test_amplified_detections(annotations):
    detections = [
        detection(1, [14, 20, 40, 80], 0.9),
        # redundant: of the first person, too
        detection(1, [10, 24, 40, 80], 0.8),
        # of nobody
        detection(1, [60, 100, 30, 30], 0.7),
        detection(1, [98, 20, 44, 80], 0.6),
        # another image of the same place
        detection(3, [14, 20, 40, 80], 0.5),
    ]

    def amplified(factor):
        return perturb_boxes(annotations, 'amplification', factor, detections)

    expected = [
        [18, 20, 58, 100],
        [10, 28, 50, 108],
        [60, 100, 90, 130],
        [96, 20, 144, 100],
        [14, 20, 54, 100],
    ]
    np.testing.assert_allclose(xyxy(amplified(2)), expected)
    assert [d['score'] for d in amplified(2)] == [0.9, 0.8, 0.7, 0.6, 0.5]
    assert amplified(1) == detections
    expected[0] = expected[1] = [10, 20, 50, 100]
    expected[3] = [100, 20, 140, 100]
    np.testing.assert_allclose(xyxy(amplified(0)), expected)


def test_matches_are_one_to_one():
    """The second detection overlaps A more, but A has a better one."""
    people = [person(1, [10, 20, 40, 80]), person(1, [24, 20, 40, 80])]
    annotations = dict(
        images=[dict(id=1, width=200, height=150)], annotations=people
    )
    detections = [
        detection(1, [10, 20, 40, 80], 0.9),
        detection(1, [16, 20, 40, 80], 0.8),
    ]
    clean = perturb_boxes(annotations, 'amplification', 0, detections)
    assert [d['bbox'] for d in clean] == [p['bbox'] for p in people]


def test_bad_detections_are_left_out(annotations):
    good = detection(2, [180, 5, 20, 90], 0.9)
    bad = [
        detection(9, [10, 20, 40, 80], 0.9),
        detection(1, [10, 20, 0, 80], 0.9),
        detection(1, [10, 20, 40, float('nan')], 0.9),
        detection(1, [250, 20, 40, 80], 0.9),
    ]
    entries = perturb_boxes(annotations, 'amplification', 1, [*bad, good])
    assert entries == [good]
    assert perturb_boxes(annotations, 'amplification', 2, []) == []


@pytest.mark.parametrize(
    'kind, size, detections, said',
    [
        ('blur', 0.1, None, 'shift, scale'),
        ('shift', -0.1, None, 'at least 0'),
        ('scale', float('nan'), None, 'at least 0'),
        ('truncation', 1, None, 'below 1'),
        ('amplification', 2, None, 'needed for amplification'),
        ('shift', 0.1, [], 'only there'),
    ],
)
def test_refusals(annotations, kind, size, detections, said):
    with pytest.raises(ValueError, match=said):
        perturb_boxes(annotations, kind, size, detections)


def test_images_without_a_size_clip_nothing(annotations):
    annotations['images'][1] = dict(id=2)
    entries = perturb_boxes(annotations, 'scale', 0)
    expected = [[10, 20, 50, 100], [100, 20, 140, 100], [180, 0, 230, 100]]
    np.testing.assert_allclose(xyxy(entries), expected)
    bad = [
        detection(2, [1, 1, 0, 5], 0.9),
        detection(2, [float('nan'), 1, 5, 5], 0.9),
    ]
    far = detection(2, [5000, 1, 5, 5], 0.9)
    doubled = perturb_boxes(annotations, 'amplification', 2, [*bad, far])
    assert doubled == [far]


def test_coco_is_read_as_it_is(tiny_config, tiny_coco):
    people = read_people(tiny_config.test_dataloader.dataset)
    assert people == json.loads((tiny_coco / 'annotations.json').read_text())


@pytest.mark.parametrize(
    'kind', ['MpiiMultiPersonDataset', MpiiMultiPersonDataset]
)
def test_people_of_mpii(tmp_path, kind):
    one, other = standing_person(100, 120), standing_person(170, 130)
    people = {
        '000000007.jpg': [one],
        '000000009.jpg': [one, other],
        '000000011.jpg': [one],
    }
    write_release(tmp_path / 'mpii.mat', people, train=[1, 1, 0])
    dataset = dict(
        type=kind,
        data_root=str(tmp_path),
        ann_file='mpii.mat',
        split='train',
        # what a bottom-up model has, and detections that are not there
        data_mode='bottomup',
        bbox_file='none.json',
        filter_cfg=dict(bbox_score_thr=0.5),
        pipeline=[dict(type='LoadImage')],
    )
    people = read_people(dataset)
    assert people['images'] == [dict(id=7), dict(id=9)]
    assert [p['image_id'] for p in people['annotations']] == [7, 9, 9]
    # the square of 200 x scale about (100, 120), 15 x scale further down
    expected = pytest.approx([20, 52, 160, 160])
    assert people['annotations'][0]['bbox'] == expected
    several = read_people(dict(dataset, protocol='group', min_people=2))
    assert several['images'] == [dict(id=9)]


@pytest.mark.parametrize(
    'kind, content, said',
    [
        ('CocoDataset', None, r'dataset: there is no file .*people\.json'),
        ('CocoDataset', b'\x89HDF', r'people\.json is not a JSON file'),
        ('MpiiMultiPersonDataset', b'[]', 'test_dataloader.dataset: '),
    ],
)
def test_what_cannot_be_read(tmp_path, kind, content, said):
    path = tmp_path / 'people.json'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        read_people(dict(type=kind, ann_file=str(path)))
