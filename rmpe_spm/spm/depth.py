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

    ``depths`` (N, K) are in millimetres, NaN where unknown; ``focal`` is in
    input pixels, of which ``pixel`` make a cell. Gives depths and weights,
    (K + 1, H, W) float32, the root last.
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
    """Place poses (N, K, 2) in the camera's space: (N, K, 3) in millimetres.

    ``depths`` (N, K + 1) are pixels behind the root, and R; ``metainfo`` says
    how the input shows the picture.
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
    """Give poses of images with a ``camera`` their ``keypoints_3d``."""
    for image, metainfo in zip(images, metainfos, strict=True):
        if metainfo.get('camera') is not None:
            image.keypoints_3d = camera_keypoints(
                image.keypoints,
                image.keypoint_depths,
                metainfo['camera'],
                metainfo,
            ).astype(np.float32)
