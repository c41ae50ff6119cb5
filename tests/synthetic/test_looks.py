import cv2
import numpy as np
import pytest

from rmpe_spm.synthetic.appearance import (
    PATTERNS,
    sample_appearance,
)
from rmpe_spm.synthetic.scene import paint_obstacle, sample_obstacle


def test_every_kind_occurs_and_no_other():
    rng = np.random.default_rng(0)
    looks = [sample_appearance(rng) for _ in range(300)]
    hair = {look.hair_style for look in looks}
    assert hair == {'short', 'long', 'bald', 'cap'}
    assert {look.sleeves for look in looks} == {'none', 'short', 'long'}
    assert {look.legwear for look in looks} == {'trousers', 'shorts', 'skirt'}
    assert {look.shirt.pattern for look in looks} == set(PATTERNS)
    assert {look.backpack is None for look in looks} == {True, False}
    assert all(0.75 <= look.girth <= 1.7 for look in looks)


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
