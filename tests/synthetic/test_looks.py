import cv2
import numpy as np
import pytest

from rmpe_spm.synthetic.appearance import (
    PATTERNS,
    pattern_mask,
    sample_appearance,
    sample_proportions,
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


def test_children_have_large_heads():
    rng = np.random.default_rng(0)
    bodies = [sample_proportions(rng) for _ in range(500)]
    heads = np.array([body.head_radii[1] for body in bodies])
    children = heads > 0.085
    assert 0.06 < children.mean() < 0.2
    thighs = np.array([body.thigh for body in bodies])
    assert thighs[children].mean() < 0.95 * thighs[~children].mean()


def test_stripes_have_the_period_and_the_direction():
    mask = pattern_mask('stripes', 16, 0, (0.0, 0.0), (40, 64))
    assert set(np.unique(mask)) == {0, 255}
    assert (mask == mask[:, :1]).all()
    np.testing.assert_array_equal(mask[:48], mask[16:])
    assert (mask[:16] != mask[8:24]).mean() > 0.9
    turned = pattern_mask('stripes', 16, 90, (0.0, 0.0), (64, 40))
    assert (turned == turned[:1]).all()


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
