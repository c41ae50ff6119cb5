"""The (hierarchical) structured pose representation of SPM as a codec."""

import warnings

import numpy as np
import torch
from mmpose.codecs.base import BaseKeypointCodec
from mmpose.registry import KEYPOINT_CODECS
from torch import Tensor

from ..tensors import tensor_on_device_of
from .decoding import PaddedPoses, RootPeaks, Snapping, decode_maps
from .displacements import People, RootWindows, displacement_maps
from .heatmaps import (
    Grid,
    gaussian_maps,
    heatmap_weights,
    instance_diagonals,
    instance_roots,
    root_joints,
)
from .kinematics import PoseRepresentation, build_kinematic_tree

_CHOICES = {
    'unit': ('cells', 'input'),
    'overlap': ('mean', 'nearest', 'smaller'),
    'displacement_location': ('root', 'parent'),
    'missing_parent': ('skip', 'ancestor'),
}


@KEYPOINT_CODECS.register_module()
class HierarchicalSPRCodec(BaseKeypointCodec):
    r"""Poses as root positions and (hierarchical) displacements, from
    `Single-Stage Multi-Person Pose Machines`_ by Nie et al (ICCV 2019).

    A root map has a peak ``exp(-||p - root||^2 / sigma^2)`` at each person,
    and 2K displacement maps hold, within ``tau`` of a root, the vectors to
    the person's joints::

        flat:         joint_j = root + Z D_j
        hierarchical: joint_j = joint_parent(j) + Z D_j

    See :func:`rmpe_spm.spm.displacements.displacement_maps` for the values.
    What the paper leaves open (the root, units, missing joints) is an option
    here; the defaults are the paper's.

    N is the number of persons, K of joints.

    Encoded:

        - heatmaps (np.ndarray): Root map in shape (1, H, W), or keypoint
            heatmaps and the root map, which is last, in shape (K+1, H, W),
            float32
        - heatmap_weights (np.ndarray): Weights of the same shape: 1 on
            peaks, ``background_weight`` elsewhere, float32
        - displacements (np.ndarray): Displacements divided by Z in shape
            (2K, H, W), channels x0, y0, x1, y1, ..., float32; or, with
            ``generate_keypoint_offsets``, (4K, H, W), the offsets last
        - displacement_weights (np.ndarray): 1 where there is a target, else
            0, in the same shape, float32
        - joint_offsets, joint_offset_weights (np.ndarray): With
            ``generate_joint_offsets``, the root-to-joint displacements of
            all labelled joints, in the same shape, float32

    Coordinates are mmpose's: cell u lies at input pixel u * stride. Maps of
    another size than ``heatmap_size`` decode with the same stride and Z.

    Args:
        input_size (tuple[int, int]): Image size in [w, h].
        heatmap_size (tuple[int, int]): Heatmap size in [W, H].
        kinematics (str | list | dict): The hierarchy, as
            :func:`rmpe_spm.spm.kinematics.build_kinematic_tree` takes it:
            a name, a list of parents, or a mapping. ``'coco-flat'`` and the
            like are the flat form. Defaults to ``'coco'``.
        sigma (float): Size of the root peaks, in ``unit``. mmpose's codecs,
            which have 2 sigma^2 in the exponent, draw the same peaks with
            sigma / sqrt(2). Defaults to 7.
        tau (float): Radius of the displacement windows, in ``unit``.
            Defaults to 7.
        unit (str): Unit of ``sigma``, ``tau`` and ``keypoint_sigma``:
            ``'cells'`` or ``'input'`` pixels. Defaults to ``'cells'``.
        overlap (str): What a cell in several windows holds: the ``'mean'``
            over persons, or the displacements of the person with the
            ``'nearest'`` root, or of the ``'smaller'`` person. Defaults to
            ``'mean'``.
        root_type (str | int): ``'kpt_center'`` (mean of the labelled
            joints), ``'bbox_center'`` (centre of the box around them),
            ``'pelvis'`` (or else the middle of the hips), or a joint's name
            or index; the last two fall back to ``'kpt_center'``. Defaults to
            ``'kpt_center'``.
        displacement_location (str): ``'root'``: all displacements are
            written and read at the root; ``'parent'``: each one around the
            joint's parent, read in a chain; the children of a parent more
            than ``tau`` off the map have no cell and are lost. Defaults to
            ``'root'``.
        missing_parent (str): A labelled joint whose parent is not labelled
            is left out (``'skip'``) or starts from its nearest labelled
            ancestor (``'ancestor'``). Defaults to ``'skip'``.
        normalizer (str | float | None): Z in cells: ``'diagonal'`` of
            ``heatmap_size``, a number, or ``None`` for 1 (displacements in
            cells). It stays the same at every test size. Defaults to
            ``'diagonal'``.
        generate_keypoint_heatmaps (bool): Whether to draw heatmaps of joints
            too. Defaults to ``False``.
        keypoint_sigma (float): Size of their peaks, in ``unit``. Defaults to
            3.
        generate_keypoint_offsets (bool): Whether to give vectors to each
            joint too, divided by Z, in the window of radius ``tau`` around
            it, which refine its heatmap's peaks, as in CenterNet and
            MoveNet. Defaults to ``False``.
        generate_joint_offsets (bool): Whether to give root-to-joint
            displacements too. Defaults to ``False``.
        background_weight (float): Weight off the peaks. Defaults to 1.
        decode_max_instances (int): The most poses per image. Defaults to 30.
        decode_thr (float): Root peaks up to this score are dropped.
            Defaults to 0.01.
        decode_nms_kernel (int): Odd side of the window, in cells, in which a
            root must be the highest. Defaults to 5.

    Raises:
        ValueError: If an option has an unknown value, or one that leaves
            windows without a cell, or two do not go together.

    Example:
        >>> codec = HierarchicalSPRCodec((512, 512), (128, 128))
        >>> people = np.random.default_rng(1).uniform(0, 200, (2, 17, 2))
        >>> people[1] += (300, 200)
        >>> maps = codec.encode(people)
        >>> maps['heatmaps'].shape, maps['displacements'].shape
        ((1, 128, 128), (34, 128, 128))
        >>> keypoints, (root_scores, keypoint_scores) = codec.decode(
        ...     torch.tensor(maps['heatmaps']),
        ...     torch.tensor(maps['displacements']),
        ... )
        >>> np.allclose(keypoints, people, atol=1e-3)
        True

    .. _Single-Stage Multi-Person Pose Machines:
        https://arxiv.org/abs/1908.09220
    """

    # `heatmap_mask` is not encoded here: BottomupGetCrowdMask adds it, and
    # only what this table lists is packed
    field_mapping_table = dict(
        heatmaps='heatmaps',
        heatmap_weights='heatmap_weights',
        heatmap_mask='heatmap_mask',
        displacements='displacements',
        displacement_weights='displacement_weights',
        joint_offsets='joint_offsets',
        joint_offset_weights='joint_offset_weights',
    )

    def __init__(
        self,
        input_size: tuple[int, int],
        heatmap_size: tuple[int, int],
        kinematics: str | list | dict = 'coco',
        sigma: float = 7,
        tau: float = 7,
        unit: str = 'cells',
        overlap: str = 'mean',
        root_type: str | int = 'kpt_center',
        displacement_location: str = 'root',
        missing_parent: str = 'skip',
        normalizer: str | float | None = 'diagonal',
        generate_keypoint_heatmaps: bool = False,
        keypoint_sigma: float = 3,
        generate_keypoint_offsets: bool = False,
        generate_joint_offsets: bool = False,
        background_weight: float = 1,
        decode_max_instances: int = 30,
        decode_thr: float = 0.01,
        decode_nms_kernel: int = 5,
    ):
        super().__init__()
        self.input_size = tuple(input_size)
        self.heatmap_size = tuple(heatmap_size)
        self.sigma = sigma
        self.tau = tau
        self.unit = unit
        self.overlap = overlap
        self.root_type = root_type
        self.displacement_location = displacement_location
        self.missing_parent = missing_parent
        self.generate_keypoint_heatmaps = generate_keypoint_heatmaps
        self.keypoint_sigma = keypoint_sigma
        self.generate_keypoint_offsets = generate_keypoint_offsets
        self.generate_joint_offsets = generate_joint_offsets
        self.background_weight = background_weight
        self.decode_max_instances = decode_max_instances
        self.decode_thr = decode_thr
        self.decode_nms_kernel = decode_nms_kernel

        if normalizer == 'diagonal':
            normalizer = np.hypot(*self.heatmap_size)
        elif normalizer is None:
            normalizer = 1
        if isinstance(normalizer, str) or not normalizer > 0:
            raise ValueError(
                "HierarchicalSPRCodec: normalizer must be 'diagonal', a "
                f'positive number or None, got {normalizer!r}'
            )
        self.tree = build_kinematic_tree(kinematics)
        self.normalizer = float(normalizer)
        self.representation = PoseRepresentation(
            self.tree,
            self.normalizer,
            displacement_location,
            generate_keypoint_offsets,
        )
        self.scale_factor = np.array(input_size) / np.array(heatmap_size)
        self._metric = np.ones(2) if unit == 'cells' else self.scale_factor
        self._check_options()

    def _check_options(self) -> None:
        def refuse(message: str) -> None:
            raise ValueError(f'HierarchicalSPRCodec: {message}')

        for option, choices in _CHOICES.items():
            value = getattr(self, option)
            if value not in choices:
                known = ', '.join(map(repr, choices))
                refuse(f'{option} must be one of {known}, got {value!r}')
        root_joints(self.root_type, self.tree)
        if not min(self.sigma, self.keypoint_sigma) > 0:
            refuse('sigma and keypoint_sigma must be positive')
        if not self.tau / self._metric.max() >= 0.5**0.5:
            refuse(
                f'tau={self.tau} ({self.unit}) is less than half the '
                'diagonal of a heatmap cell: a window may hold no cell at all'
            )
        kernel = self.decode_nms_kernel
        if kernel < 1 or kernel % 2 == 0:
            refuse(f'decode_nms_kernel must be odd and positive, got {kernel}')
        if self.generate_keypoint_offsets > self.generate_keypoint_heatmaps:
            refuse(
                'generate_keypoint_offsets refines peaks of keypoint '
                'heatmaps: set generate_keypoint_heatmaps=True too'
            )
        at_root = self.displacement_location == 'root'
        if self.generate_joint_offsets and not at_root:
            refuse(
                "generate_joint_offsets needs displacement_location='root'; "
                'displacements around parents do not add up at one cell'
            )

    def encode(
        self,
        keypoints: np.ndarray,
        keypoints_visible: np.ndarray | None = None,
    ) -> dict:
        """Encode the poses of one image.

        Args:
            keypoints (np.ndarray): Joints (N, K, 2) in input pixels; N may
                be 0.
            keypoints_visible (np.ndarray, optional): (N, K), above 0 where
                the joint is labelled. A joint with a coordinate that is not
                finite counts as not labelled. Defaults to ``None``: all are.

        Returns:
            dict: The items listed under "Encoded" above.

        Raises:
            ValueError: If the joints are not (N, K, 2) with the tree's K.
        """
        people, grid = self.read_people(keypoints, keypoints_visible)
        return self.encode_people(people, grid)

    def read_people(
        self, keypoints: np.ndarray, keypoints_visible: np.ndarray | None
    ) -> tuple[People, Grid]:
        """The people that :meth:`encode` draws, in cells, and the grid."""
        num_joints = self.tree.num_joints
        if keypoints.ndim != 3 or keypoints.shape[1:] != (num_joints, 2):
            raise ValueError(
                f'HierarchicalSPRCodec: keypoints of {num_joints} joints must '
                f'be (N, {num_joints}, 2), got {keypoints.shape}'
            )
        points = keypoints / self.scale_factor
        labelled = np.isfinite(points).all(axis=-1)
        if keypoints_visible is not None:
            labelled &= keypoints_visible > 0
        points = np.where(labelled[..., None], points, 0.0)
        people = People(
            points,
            labelled,
            instance_roots(points, labelled, self.root_type, self.tree),
            instance_diagonals(points * self.scale_factor, labelled),
        )
        return people, Grid(self.heatmap_size, self._metric, self.tau)

    def encode_people(
        self, people: People, grid: Grid, windows: RootWindows | None = None
    ) -> dict:
        """What :meth:`encode` gives."""
        heatmaps = gaussian_maps(
            people.roots[:, None], people.valid[:, None], self.sigma, grid
        )
        if self.generate_keypoint_heatmaps:
            keypoint_heatmaps = gaussian_maps(
                people.keypoints, people.labelled, self.keypoint_sigma, grid
            )
            heatmaps = np.concatenate((keypoint_heatmaps, heatmaps))
        rules = dict(overlap=self.overlap, missing_parent=self.missing_parent)
        targets = displacement_maps(
            people, self.representation, grid, windows=windows, **rules
        )
        if self.generate_keypoint_offsets:
            flat = self.tree.flat
            own = PoseRepresentation(flat, self.normalizer, 'joint')
            offsets = displacement_maps(people, own, grid, **rules)
            targets = map(np.concatenate, zip(targets, offsets, strict=True))
        displacements, weights = targets
        encoded = dict(
            heatmaps=heatmaps,
            heatmap_weights=heatmap_weights(heatmaps, self.background_weight),
            displacements=displacements,
            displacement_weights=weights,
        )
        if self.generate_joint_offsets:
            flat = PoseRepresentation(self.tree.flat, self.normalizer)
            offsets, weights = displacement_maps(people, flat, grid, **rules)
            encoded.update(joint_offsets=offsets, joint_offset_weights=weights)
        return encoded

    def decode_padded(
        self,
        heatmaps: Tensor,
        displacements: Tensor,
        snapping: Snapping | None = None,
    ) -> PaddedPoses:
        """Decode a batch into tensors of fixed shape, on the device.

        Args:
            heatmaps (Tensor): (B, 1, H, W) or (B, K+1, H, W), the root last.
            displacements (Tensor): (B, 2K, H, W), or (B, 4K, H, W) with
                ``generate_keypoint_offsets``.
            snapping (Snapping, optional): How joints move to peaks of their
                own heatmaps. Defaults to ``None``: they don't.

        Returns:
            PaddedPoses: M candidates for each image, best first.
        """
        roots = RootPeaks(
            self.decode_max_instances, self.decode_thr, self.decode_nms_kernel
        )
        poses = decode_maps(
            heatmaps, displacements, self.representation, roots, snapping
        )
        stride = tensor_on_device_of(self.scale_factor, poses.keypoints)
        return poses._replace(keypoints=poses.keypoints * stride)

    def decode(
        self, heatmaps: Tensor, displacements: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Decode the maps of one image.

        Args:
            heatmaps (Tensor): (1, H, W) or (K+1, H, W), the root last.
            displacements (Tensor): (2K, H, W).

        Returns:
            tuple: Keypoints (N, K, 2) in input pixels, best first, and
            (root_scores (N,), keypoint_scores (N, K)); the latter repeat the
            root's score without keypoint heatmaps.
        """
        (keypoints,), ((root_scores,), (keypoint_scores,)) = self.batch_decode(
            heatmaps[None], displacements[None]
        )
        return keypoints, (root_scores, keypoint_scores)

    def batch_decode(
        self, heatmaps: Tensor, displacements: Tensor
    ) -> tuple[list[Tensor], tuple[list[Tensor], list[Tensor]]]:
        """Decode a batch: what :meth:`decode` gives, in lists.

        An image whose maps hold NaN or infinity is reported in a warning and
        yields no pose.
        """
        poses = self.decode_padded(heatmaps, displacements)
        summary = torch.stack((poses.valid.sum(dim=1), poses.finite), dim=1)
        counts, finite = zip(*summary.tolist(), strict=True)
        if not all(finite):
            broken = [i for i, is_finite in enumerate(finite) if not is_finite]
            warnings.warn(
                f'HierarchicalSPRCodec: the maps of the images {broken} of '
                'the batch hold NaN or infinity; they yield no poses',
                RuntimeWarning,
            )
        keypoints, root_scores, keypoint_scores = (
            [item[:count] for item, count in zip(items, counts, strict=True)]
            for items in poses[:3]
        )
        return keypoints, (root_scores, keypoint_scores)
