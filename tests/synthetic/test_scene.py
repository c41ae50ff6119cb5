import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as mask_api

from rmpe_spm.synthetic.body_parts import Part
from rmpe_spm.synthetic.coco_annotations import (
    MIN_AREA,
    MIN_AREA_WITH_KEYPOINTS,
    crowd_annotation,
    encode_rle,
    keypoint_visibility,
    person_annotation,
    scene_annotations,
    visible_mask,
)
from rmpe_spm.synthetic.figure import KEYPOINT_NAMES, Figure
from rmpe_spm.synthetic.scene import (
    CROWD_SHARE,
    PEOPLE_COUNTS,
    STATURES,
    Scene,
    compose_scene,
    paint_obstacle,
    sample_obstacle,
    sample_placements,
)


def test_distribution_of_the_places():
    rng = np.random.default_rng(0)
    layouts = [sample_placements(rng, (640, 480)) for _ in range(3000)]
    people = [[p for p in each if not p.in_crowd] for each in layouts]
    counts = np.array([len(each) for each in people])
    for count, share in PEOPLE_COUNTS.items():
        assert abs((counts == count).mean() - share) < 0.03
    crowds = [any(p.in_crowd for p in each) for each in layouts]
    assert abs(np.mean(crowds) - CROWD_SHARE) < 0.015
    statures = np.array([p.stature for each in people for p in each])
    low, high = STATURES
    assert np.mean((statures > 0.6 * low) & (statures < 1.6 * high)) > 0.98


def test_nearer_people_are_painted_later():
    rng = np.random.default_rng(1)
    for _ in range(50):
        places = sample_placements(rng, (640, 480))
        crowd = [p.in_crowd for p in places]
        assert crowd == sorted(crowd, reverse=True)
        bottoms = [p.bottom for p in places if not p.in_crowd]
        assert bottoms == sorted(bottoms)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_owners_are_people_where_they_are_drawn(seed):
    scene = compose_scene(np.random.default_rng(seed), (160, 120))
    assert scene.image.shape == (120, 160, 3)
    assert len(scene.people) == len(scene.in_crowd)
    assert scene.owners.max() <= len(scene.people)
    for number in np.unique(scene.owners[scene.owners > 0]):
        figure = scene.people[number - 1]
        drawn = np.zeros_like(scene.owners)
        h, w = figure.parts.shape
        drawn[figure.y : figure.y + h, figure.x : figure.x + w] = figure.parts
        assert drawn[scene.owners == number].all()


@pytest.mark.parametrize('seed', range(12))
def test_obstacles_are_convex_and_near_the_person(seed):
    polygon = sample_obstacle(np.random.default_rng(seed), 100, 200, 120)
    assert cv2.isContourConvex(polygon.astype(np.float32))
    centre = polygon.mean(0)
    assert abs(centre[0] - 100) < 120 and 0 < centre[1] < 260


def test_an_obstacle_hides_its_inside_and_nothing_else():
    image = np.zeros((40, 40, 3), np.uint8)
    owners = np.full((40, 40), 7, np.uint8)
    polygon = np.array([(10, 5), (20, 5), (20, 15), (10, 15)], float)
    paint_obstacle(image, owners, polygon, np.random.default_rng(0))
    inside = np.zeros((40, 40), bool)
    inside[5:16, 10:21] = True
    np.testing.assert_array_equal(owners == 0, inside)
    assert not image[~inside].any()


WRIST = KEYPOINT_NAMES.index('left_wrist')


def block(x, y, size, part, keypoint):
    """A person that is a square of one part, all joints at one point."""
    own_parts = np.zeros((17, 64), bool)
    own_parts[WRIST, Part.LEFT_HAND] = True
    return Figure(
        x=x,
        y=y,
        image=np.zeros((size, size, 3), np.uint8),
        parts=np.full((size, size), part, np.uint8),
        keypoints=np.tile(np.array(keypoint, float), (17, 1)),
        nearness=np.zeros(17),
        own_parts=own_parts,
        radii=np.full(17, 2.0),
        core=(x, y, x + size, y + size),
        stature=50.0,
    )


def scene_of(*figures, crowd=0):
    """The first ``crowd`` figures are the crowd's."""
    scene = Scene(np.zeros((80, 100, 3), np.uint8))
    for index, figure in enumerate(figures):
        scene.add(figure, in_crowd=index < crowd)
    return scene


def flag_of(*figures):
    """The visibility of the first one's wrist."""
    seen = visible_mask(scene_of(*figures), 0)
    return keypoint_visibility(figures[0], seen)[WRIST]


HAND, TORSO = Part.LEFT_HAND, Part.TORSO


@pytest.mark.parametrize(
    'person, others, expected',
    [
        ((10, 10, 20, HAND, (20, 20)), [], 2),  # on its own part
        ((10, 10, 20, TORSO, (20, 20)), [], 1),  # behind the own body
        # behind somebody else: near to what is seen, and too far from it
        ((10, 10, 20, HAND, (12, 20)), [(0, 10, 15, TORSO, (5, 20))], 1),
        ((10, 10, 40, HAND, (12, 30)), [(0, 0, 45, TORSO, (5, 20))], 0),
    ],
)
def test_visibility_of_a_joint(person, others, expected):
    figures = [block(*each) for each in (person, *others)]
    assert flag_of(*figures) == expected


def test_a_rim_pixel_is_seen_through_its_neighbours():
    # the joint's own pixel shows another part, a pixel aside its own does
    figure = block(10, 10, 20, Part.LEFT_HAND, (20, 20))
    figure.parts[10, 10] = Part.TORSO
    assert flag_of(figure) == 2
    figure.parts[10:12, 8:13] = Part.TORSO
    assert flag_of(figure) == 1


def test_out_of_frame_keypoints_are_not_labelled():
    figure = block(80, 10, 20, Part.LEFT_HAND, (99.4, 20))
    annotation = person_annotation(scene_of(figure), 0)
    assert annotation['num_keypoints'] == 0
    assert annotation['keypoints'] == [0] * 51


def test_annotation_of_a_half_hidden_square_by_hand():
    back = block(10, 10, 20, Part.LEFT_HAND, (12.26, 20))
    front = block(20, 0, 40, Part.TORSO, (5, 20))
    annotation = person_annotation(scene_of(back, front), 0)
    assert annotation['bbox'] == [10, 10, 10, 20]
    assert annotation['area'] == 200
    # too few pixels are seen for keypoints
    assert annotation['area'] < MIN_AREA_WITH_KEYPOINTS
    assert annotation['num_keypoints'] == 0
    alone = person_annotation(scene_of(back), 0)
    assert alone['keypoints'][3 * WRIST :][:3] == [12.3, 20, 2]
    assert alone['num_keypoints'] == 17  # the others count as covered


def test_specks_are_in_neither_box_nor_polygons():
    back = block(10, 10, 30, Part.LEFT_HAND, (12.26, 20))
    front = block(20, 0, 60, Part.TORSO, (5, 20))
    scene = scene_of(back, front)
    before = person_annotation(scene, 0)
    assert before['bbox'] == [10, 10, 10, 30]
    scene.owners[30, 35] = scene.owners[15, 10]  # one pixel of the first
    assert person_annotation(scene, 0) == before


def test_hardly_seen_people_are_left_out():
    back = block(10, 10, 20, Part.LEFT_HAND, (12, 20))
    front = block(11, 10, 30, Part.TORSO, (20, 20))
    assert person_annotation(scene_of(back, front), 0) is None
    assert MIN_AREA > 20


@pytest.mark.parametrize('seed', range(6))
def test_polygons_cover_what_is_seen(seed):
    scene = compose_scene(np.random.default_rng(seed), (320, 240))
    height, width = scene.owners.shape
    for index, annotation in scene_annotations(scene):
        if index is None or annotation['area'] < 400:
            continue
        rles = mask_api.frPyObjects(annotation['segmentation'], height, width)
        drawn = mask_api.decode(mask_api.merge(rles)).astype(bool)
        seen = scene.owners == index + 1
        assert (drawn & seen).sum() > 0.9 * (drawn | seen).sum()
        corners = np.concatenate(annotation['segmentation']).reshape(-1, 2)
        x, y, w, h = annotation['bbox']
        bounds = [corners.min(axis=0), corners.max(axis=0)]
        assert np.abs(bounds - np.array([[x, y], [x + w, y + h]])).max() <= 1
        assert not seen[:, :x].any() and not seen[:y].any()
        assert not seen[:, x + w :].any() and not seen[y + h :].any()
        assert annotation['area'] == seen.sum()


def test_rle_is_cocos():
    rng = np.random.default_rng(0)
    for shape in ((7, 5), (1, 9), (6, 6)):
        mask = (rng.random(shape) < 0.4).astype(np.uint8)
        rle = mask_api.frPyObjects(encode_rle(mask), *shape)
        np.testing.assert_array_equal(mask_api.decode(rle), mask)
    ones = np.ones((3, 2), np.uint8)
    assert encode_rle(ones) == {'counts': [0, 6], 'size': [3, 2]}


def test_a_crowd_is_one_region_without_those_in_front():
    members = [block(5 * i, 10, 8, Part.TORSO, (5, 5)) for i in range(5)]
    front = block(10, 0, 10, Part.TORSO, (15, 5))
    scene = scene_of(*members, front, crowd=5)
    pairs = scene_annotations(scene)
    assert [index for index, _ in pairs] == [5, None]
    crowd = crowd_annotation(scene)
    assert crowd['iscrowd'] == 1 and crowd['num_keypoints'] == 0
    rle = mask_api.frPyObjects(crowd['segmentation'], *scene.owners.shape)
    region = mask_api.decode(rle).astype(bool)
    assert region[scene.owners == 1].all()
    assert not region[scene.owners == 6].any()
    assert crowd['area'] == region.sum()
    assert crowd_annotation(scene_of(front)) is None
