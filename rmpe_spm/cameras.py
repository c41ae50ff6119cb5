"""Cameras: from their space to pixels and back.

A camera is a mapping as CMU Panoptic's calibration files have it: ``K``
(3, 3), the intrinsic matrix in pixels; ``distCoef``, OpenCV's distortion
coefficients, if any; and to come from the world's space ``R`` (3, 3) and
``t`` (3, 1). In a camera's space x points to the right, y down and z, the
depth, away from it.
"""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

Camera = Mapping[str, Any]


def pinhole(focal: float, size: tuple[int, int]) -> dict[str, Any]:
    """A camera of a focal length and a picture size (w, h), in pixels."""
    center_x, center_y = ((side - 1) / 2 for side in size)
    return dict(K=[[focal, 0, center_x], [0, focal, center_y], [0, 0, 1]])


def intrinsic_matrix(camera: Camera) -> np.ndarray:
    """Read ``K`` (3, 3), float64, in pixels; a ValueError if it is none."""
    matrix = np.asarray(camera.get('K', ()), dtype=np.float64)
    if (
        matrix.shape != (3, 3)
        or not np.isfinite(matrix).all()
        or not (matrix[0, 0] > 0 and matrix[1, 1] > 0)
    ):
        raise ValueError(
            "a camera needs 'K', its intrinsic matrix (3, 3) in pixels with "
            f'positive focal lengths, got {camera.get("K")!r}'
        )
    return matrix


def focal_length(camera: Camera) -> float:
    """The focal length in pixels, the geometric mean of x's and y's."""
    matrix = intrinsic_matrix(camera)
    return float(np.sqrt(matrix[0, 0] * matrix[1, 1]))


def to_camera_space(points: np.ndarray, camera: Camera) -> np.ndarray:
    """Move points (..., 3) of the world into the camera's space."""
    rotation = np.asarray(camera['R'], dtype=np.float64)
    shift = np.asarray(camera['t'], dtype=np.float64).reshape(3)
    return points @ rotation.T + shift


def project(points: np.ndarray, camera: Camera) -> np.ndarray:
    """Project points (..., 3) of the camera to pixels, NaN behind it."""
    shape = points.shape[:-1]
    flat = np.asarray(points, dtype=np.float64).reshape(-1, 3)
    pixels = np.full((len(flat), 2), np.nan)
    seen = flat[:, 2] > 0
    if seen.any():
        pixels[seen] = cv2.projectPoints(
            flat[seen],
            np.zeros(3),
            np.zeros(3),
            intrinsic_matrix(camera),
            _distortion(camera),
        )[0][:, 0]
    return pixels.reshape(*shape, 2)


def unproject(
    pixels: np.ndarray, depths: np.ndarray, camera: Camera
) -> np.ndarray:
    """The points (..., 3) at pixels (..., 2) and depths (...).

    Example:
        >>> camera = dict(K=[[500, 0, 320], [0, 500, 240], [0, 0, 1]])
        >>> unproject(np.array([420, 240]), np.array(2000), camera).tolist()
        [400.0, 0.0, 2000.0]
    """
    flat = np.asarray(pixels, dtype=np.float64).reshape(-1, 1, 2)
    if len(flat):
        # enough steps for the corners of a picture with strong distortion
        criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-9)
        flat = cv2.undistortPointsIter(
            flat,
            intrinsic_matrix(camera),
            _distortion(camera),
            None,
            None,
            criteria,
        )
    rays = np.concatenate((flat[:, 0], np.ones((len(flat), 1))), axis=1)
    rays = rays.reshape(*pixels.shape[:-1], 3)
    return rays * np.asarray(depths, dtype=np.float64)[..., None]


def _distortion(camera: Camera) -> np.ndarray:
    return np.asarray(camera.get('distCoef', ()), dtype=np.float64).reshape(-1)
