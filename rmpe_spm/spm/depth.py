"""Depth in SPM's maps: what to train with, and back to a camera's space.

:class:`~rmpe_spm.HierarchicalSPR3DCodec` has the formulas, and why.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.structures import InstanceData

from ..cameras import Camera, focal_length, unproject
from .displacements import (
    People,
    RootWindows,
    anchor_people,
    constant_maps,
)
from .heatmaps import Grid, instance_roots
from .kinematics import PoseRepresentation

# Millimetres that a pixel stands for where the root's target R is 0
PIXEL_SIZE = 10.0


def depth_maps(
    people: People,
    depths: np.ndarray,
    focal: float,
    pixel: float,
    representation: PoseRepresentation,
    grid: Grid,
    windows: RootWindows,
    root_type: str | int,
    missing_parent: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the depths of every joint and root inside the roots' windows.

    Args:
        people (People): Whom to draw, in cells.
        depths (np.ndarray): Their joints' depths (N, K) in millimetres; NaN
            where nothing is known.
        focal (float): The focal length in input pixels.
        pixel (float): Input pixels of a cell.
        representation (PoseRepresentation): The tree and Z.
        grid (Grid): The cells.
        windows (RootWindows): The cells around people's roots.
        root_type (str | int): The joints whose mean depth is the root's, as
            in :class:`~rmpe_spm.HierarchicalSPRCodec`.
        missing_parent (str): As there; a parent whose depth is not known is
            missing.

    Returns:
        tuple[np.ndarray, np.ndarray]: Depths and weights (1 where there is a
        target, else 0), both (K + 1, H, W) float32, the root last.
    """
    tree = representation.tree
    with np.errstate(invalid='ignore'):
        known = people.labelled & (depths > 0) & np.isfinite(depths)
    points = np.where(known, depths, 0.0)[..., None]
    roots = instance_roots(points, known, root_type, tree)
    solid = People(points, known, roots)
    start, _, drawn = anchor_people(solid, tree, missing_parent)
    scale = np.where(solid.valid, roots[:, 0] / focal, 1.0)[:, None]
    joints = (points - start)[..., 0] / (
        scale * pixel * representation.normalizer
    )
    values = np.concatenate((joints, np.log(scale / PIXEL_SIZE)), axis=1)
    drawn = np.concatenate((drawn, solid.valid[:, None]), axis=1)
    return constant_maps(values, drawn, windows, grid)


def camera_keypoints(
    keypoints: np.ndarray,
    depths: np.ndarray,
    camera: Camera,
    metainfo: Mapping[str, Any] | None = None,
) -> np.ndarray:
    """Place decoded poses in the camera's space.

    Args:
        keypoints (np.ndarray): Joints (N, K, 2) in input pixels.
        depths (np.ndarray): As :class:`~rmpe_spm.spm.decoding.PaddedPoses`
            has them, (N, K + 1): pixels behind the root, and R.
        camera (dict): The picture's camera, see :mod:`rmpe_spm.cameras`.
        metainfo (dict, optional): How the input shows the picture:
            ``input_size``, ``input_center`` and ``input_scale``. Defaults to
            ``None``: as it is.

    Returns:
        np.ndarray: Joints (N, K, 3) in millimetres, float64.
    """
    pixels, zoom = np.asarray(keypoints, dtype=np.float64), 1.0
    if metainfo is not None and 'input_scale' in metainfo:
        size = np.asarray(metainfo['input_size'], dtype=np.float64)
        region = np.asarray(metainfo['input_scale'], dtype=np.float64)
        corner = metainfo['input_center'] - region / 2
        pixels = pixels / size * region + corner
        zoom = float(np.sqrt(np.prod(size / region)))
    focal = focal_length(camera) * zoom
    scale = PIXEL_SIZE * np.exp(depths[:, -1:].astype(np.float64))
    return unproject(pixels, scale * (focal + depths[:, :-1]), camera)


def place_in_camera_space(
    images: Sequence[InstanceData], metainfos: Sequence[Mapping[str, Any]]
) -> None:
    """Give predicted poses ``keypoints_3d`` (N, K, 3), float32, millimetres.

    Each image's camera is the ``camera`` of its meta information; one without
    has no place in space and gets none.
    """
    for image, metainfo in zip(images, metainfos, strict=True):
        if metainfo.get('camera') is not None:
            image.keypoints_3d = camera_keypoints(
                image.keypoints,
                image.keypoint_depths,
                metainfo['camera'],
                metainfo,
            ).astype(np.float32)
