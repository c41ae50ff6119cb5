"""Cameras: there and back, distortion, what is no camera."""

import numpy as np
import pytest

from rmpe_spm.cameras import (
    focal_length,
    project,
    to_camera_space,
    unproject,
)

# an HD camera of CMU Panoptic's
HD = dict(
    K=[[1395.8, 0, 959.7], [0, 1392.2, 550.9], [0, 0, 1]],
    distCoef=[-0.283, 0.158, -0.0007, 0.0004, 0.012],
)


def test_a_pinhole_by_hand():
    camera = dict(K=[[500, 0, 320], [0, 400, 240], [0, 0, 1]])
    points = np.array([[[0, 0, 1000.0], [200, -100, 2000]]])
    np.testing.assert_allclose(
        project(points, camera), [[[320, 240], [370, 220]]]
    )
    assert focal_length(camera) == pytest.approx(np.sqrt(500 * 400))


@pytest.mark.parametrize('distorts', [False, True])
def test_there_and_back(distorts):
    camera = HD if distorts else dict(K=HD['K'])
    rng = np.random.default_rng(0)
    depths = rng.uniform(500, 9000, (30, 19))
    pixels = rng.uniform(0, (1920, 1080), (30, 19, 2))
    points = unproject(pixels, depths, camera)
    np.testing.assert_allclose(points[..., 2], depths)
    np.testing.assert_allclose(project(points, camera), pixels, atol=1e-4)
    assert unproject(pixels[:0], depths[:0], camera).shape == (0, 19, 3)


def test_behind_the_camera_is_no_pixel():
    points = np.array([[0.0, 0, 1000], [0, 0, -1000], [0, 0, 0]])
    np.testing.assert_array_equal(
        np.isnan(project(points, HD)).any(-1), [False, True, True]
    )


def test_the_worlds_space():
    turned = dict(HD, R=[[0, 0, 1], [0, 1, 0], [-1, 0, 0]], t=[[1], [2], [3]])
    points = np.array([[10.0, 20, 30]])
    assert to_camera_space(points, turned).tolist() == [[31, 22, -7]]


@pytest.mark.parametrize(
    'camera',
    [{}, dict(K=np.eye(2)), dict(K=np.zeros((3, 3))), dict(K=-np.eye(3))],
)
def test_what_is_no_camera(camera):
    with pytest.raises(ValueError, match="needs 'K', its intrinsic matrix"):
        focal_length(camera)
