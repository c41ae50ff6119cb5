"""SPM's representation in 3D: its maps of depth, and the codec."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.structures import InstanceData
from mmpose.registry import KEYPOINT_CODECS
from torch import Tensor

from ..cameras import Camera, focal_length, unproject
from ..tensors import tensor_on_device_of
from .codec import HierarchicalSPRCodec
from .decoding import PaddedPoses, Snapping
from .displacements import (
    People,
    RootWindows,
    anchor_people,
    fill_joint_windows,
    fill_root_windows,
    root_windows,
)
from .heatmaps import Grid, instance_roots
from .kinematics import PoseRepresentation

# Millimetres that a pixel stands for where the root's target R is 0
PIXEL_SIZE = 10.0


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


@KEYPOINT_CODECS.register_module()
class HierarchicalSPR3DCodec(HierarchicalSPRCodec):
    r"""Poses in the camera's space as roots with a depth and displacements
    in three dimensions: the second half of SPM.

    Beside what :class:`HierarchicalSPRCodec` encodes there are maps of depths:
    R of the root, within ``tau`` of it, and D_z of each joint, within ``tau``
    of the root, as its displacement, or of the joint itself. With f the focal
    length in input pixels and ``s = z_root / f`` the millimetres that a pixel
    stands for at the root's depth:

    .. math::
        R = \ln\frac{s}{10}, \qquad
        D_z^j = \frac{z^j - z^{parent(j)}}{s\,Z}

    A network can only see how large somebody is in the picture. Divided by
    the focal length depths are the same for all that look the same, whatever
    the camera and the size of the input; equal errors of R are equal
    percentages of the depth. D_z is in the unit of a displacement's x and y.

    The network predicts the depths after the displacements (2K, or 4K with
    keypoint offsets), D_z of each joint, once for each location, and then R.
    The joints lie at

    .. math::
        z^j = 10 e^R (f + Z \sum_{a} D_z^a), \quad
        (x^j, y^j) = \text{unproject}(p^j, z^j)

    with a the joint and its ancestors, and p its place in the picture. Of two
    locations D_z is the mean: at the root a network sees the whole pose, at a
    joint how its limb lies.

    Encoded beside the items of the parent class:

        - depths (np.ndarray): (K + 1, H, W), or (2K + 1, H, W) with two
            locations, the root's last, float32
        - depth_weights (np.ndarray): 1 where there is a target, else 0, of
            the same shape, float32: nowhere in a picture without a camera,
            so that pictures with and without one train together

    Args:
        *args, **kwargs: Those of :class:`HierarchicalSPRCodec`;
            ``displacement_location`` must be ``'root'``, its default.
        depth_locations (Sequence[str]): Where D_z is written and read:
            ``'root'``, ``'joint'`` or both. Around joints the children of a
            joint that lies off the map are wrong. Defaults to ``('root',)``.

    Raises:
        ValueError: As there, and with displacements around parents.

    Example:
        >>> codec = HierarchicalSPR3DCodec((512, 512), (128, 128))
        >>> camera = dict(K=[[600, 0, 256], [0, 600, 256], [0, 0, 1]])
        >>> body = np.random.default_rng(0).uniform(-700, 700, (1, 17, 3))
        >>> body[..., 2] += 4000
        >>> keypoints = 600 * body[..., :2] / body[..., 2:] + 256
        >>> maps = codec.encode(keypoints, None, body[..., 2], 600.0)
        >>> maps['displacements'].shape, maps['depths'].shape
        ((34, 128, 128), (18, 128, 128))
        >>> predicted = np.concatenate((maps['displacements'], maps['depths']))
        >>> found = codec.decode_3d(
        ...     torch.tensor(maps['heatmaps']), torch.tensor(predicted), camera
        ... )
        >>> np.allclose(found, body, atol=1e-2)
        True
    """

    auxiliary_encode_keys = {'keypoint_depths', 'focal_length'}
    field_mapping_table = dict(
        HierarchicalSPRCodec.field_mapping_table,
        depths='depths',
        depth_weights='depth_weights',
    )

    def __init__(
        self, *args, depth_locations: Sequence[str] = ('root',), **kwargs
    ):
        super().__init__(*args, **kwargs)
        known = set(depth_locations) <= {'root', 'joint'}
        if not (known and 0 < len(depth_locations) == len({*depth_locations})):
            raise ValueError(
                "HierarchicalSPR3DCodec: depth_locations must be ('root',), "
                f"('joint',) or ('root', 'joint'), got {depth_locations!r}"
            )
        if self.displacement_location != 'root':
            raise ValueError(
                'HierarchicalSPR3DCodec: depths lie at the roots, so '
                "displacement_location must be 'root'"
            )
        self.representation = PoseRepresentation(
            self.tree,
            self.normalizer,
            keypoint_offsets=self.generate_keypoint_offsets,
            depth_locations=tuple(depth_locations),
        )
        # input pixels of a cell, whichever way
        self.pixel = float(np.sqrt(np.prod(self.scale_factor)))

    def encode(
        self,
        keypoints: np.ndarray,
        keypoints_visible: np.ndarray | None = None,
        keypoint_depths: np.ndarray | None = None,
        focal_length: float | None = None,
    ) -> dict:
        """Encode the poses of one image.

        Args:
            keypoints (np.ndarray): Joints (N, K, 2) in input pixels.
            keypoints_visible (np.ndarray, optional): (N, K), above 0 where
                the joint is labelled. Defaults to ``None``: all are.
            keypoint_depths (np.ndarray, optional): Depths (N, K) of the
                joints, in millimetres from the camera; NaN, or not positive,
                where nothing is known. Defaults to ``None``: nowhere.
            focal_length (float, optional): The camera's, in input pixels.
                Needed with depths. Defaults to ``None``.

        Returns:
            dict: The items listed under "Encoded".

        Raises:
            ValueError: If shapes don't fit, or depths come without a
                positive focal length.
        """
        people, grid = self.read_people(keypoints, keypoints_visible)
        windows = root_windows(people, grid, self.overlap)
        encoded = self.encode_people(people, grid, windows)
        if keypoint_depths is None:
            keypoint_depths = np.full(keypoints.shape[:2], np.nan)
            focal_length = 1.0
        if keypoint_depths.shape != keypoints.shape[:2]:
            raise ValueError(
                'HierarchicalSPR3DCodec: keypoint_depths must have the shape '
                f'{keypoints.shape[:2]}, got {keypoint_depths.shape}'
            )
        if focal_length is None or not 0 < focal_length < np.inf:
            raise ValueError(
                'HierarchicalSPR3DCodec: depths need the focal_length of '
                f'their camera, in input pixels, got {focal_length!r}'
            )
        encoded['depths'], encoded['depth_weights'] = self._depth_maps(
            people, keypoint_depths, focal_length, grid, windows
        )
        return encoded

    def _depth_maps(
        self,
        people: People,
        depths: np.ndarray,
        focal: float,
        grid: Grid,
        windows: RootWindows,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw depths (N, K) in millimetres, NaN where nothing is known.

        Gives targets and weights, (C, H, W) float32, the root's last.
        """
        num_joints = self.tree.num_joints
        with np.errstate(invalid='ignore'):
            known = people.labelled & (depths > 0) & np.isfinite(depths)
        points = np.where(known, depths, 0.0)[..., None]
        roots = instance_roots(points, known, self.root_type, self.tree)
        solid = People(points, known, roots)
        start, _, drawn = anchor_people(solid, self.tree, self.missing_parent)
        scale = np.where(solid.valid, roots[:, 0] / focal, 1.0)[:, None]
        unit = scale * self.pixel * self.normalizer
        joints = (points - start)[..., 0] / unit
        shape = (self.representation.num_depths, *grid.size[::-1])
        maps = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        for block, location in enumerate(self.representation.depth_locations):
            first = block * num_joints
            own = tuple(part[first : first + num_joints] for part in maps)
            if location == 'root':
                fill_root_windows(own, joints, drawn, windows)
            else:
                fill_joint_windows(
                    own, joints, drawn, people, grid, self.overlap
                )
        root = tuple(part[-1:] for part in maps)
        valid = solid.valid[:, None]
        fill_root_windows(root, np.log(scale / PIXEL_SIZE), valid, windows)
        return maps

    def decode_padded(
        self,
        heatmaps: Tensor,
        displacements: Tensor,
        snapping: Snapping | None = None,
    ) -> PaddedPoses:
        """Decode a batch into tensors of fixed shape, on the device.

        As the parent class, from displacements with the depths behind them:
        with one location (B, 3K + 1, H, W), or (B, 5K + 1, H, W) with offsets.
        """
        poses = super().decode_padded(heatmaps, displacements, snapping)
        units = tensor_on_device_of(
            [self.pixel] * self.tree.num_joints + [1.0], poses.depths
        )
        return poses._replace(depths=poses.depths * units)

    def decode_3d(
        self, heatmaps: Tensor, displacements: Tensor, camera: Camera
    ) -> np.ndarray:
        """Decode the maps of one image into its camera's space.

        Args:
            heatmaps (Tensor): (1, H, W) or (K+1, H, W), the root last.
            displacements (Tensor): (3K + 1, H, W), the depths last.
            camera (dict): The camera of the input, see
                :mod:`rmpe_spm.cameras`.

        Returns:
            np.ndarray: Joints (N, K, 3) in millimetres, the best first.
        """
        with torch.no_grad():
            poses = self.decode_padded(heatmaps[None], displacements[None])
        valid = poses.valid[0]
        return camera_keypoints(
            poses.keypoints[0, valid].numpy(force=True),
            poses.depths[0, valid].numpy(force=True),
            camera,
        )
