import cv2
import numpy as np
import pytest

from rmpe_spm.synthetic.background import (
    draw_background,
    paint_obstacle,
    sample_obstacle,
)


def test_backgrounds_differ_by_seed_only():
    pictures = [
        draw_background(np.random.default_rng(seed), (80, 60))
        for seed in (1, 1, 2)
    ]
    assert pictures[0].shape == (60, 80, 3)
    assert pictures[0].dtype == np.uint8
    np.testing.assert_array_equal(pictures[0], pictures[1])
    assert (pictures[0] != pictures[2]).mean() > 0.5


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
