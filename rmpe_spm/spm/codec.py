"""The (hierarchical) structured pose representation of SPM as a codec."""

import warnings

import numpy as np
import torch
from mmpose.codecs.base import BaseKeypointCodec
from mmpose.registry import KEYPOINT_CODECS
from torch import Tensor

from ..tensors import tensor_on_device_of
from .codec_options import check_options, resolve_normalizer
from .decoding import (
    PaddedPoses,
    find_joint_peaks,
    find_root_peaks,
    read_poses,
    read_snapped_poses,
    sample_keypoint_scores,
)
from .heatmaps import (
    gaussian_maps,
    heatmap_weights,
    instance_diagonals,
    instance_roots,
)
from .kinematics import build_kinematic_tree
from .targets import displacement_maps


@KEYPOINT_CODECS.register_module()
class HierarchicalSPRCodec(BaseKeypointCodec):
    r"""Poses as root positions and (hierarchical) displacements, from
    `Single-Stage Multi-Person Pose Machines`_ by Nie et al (ICCV 2019).

    A root map has a peak ``exp(-||p - root||^2 / sigma^2)`` at each person,
    and 2K displacement maps hold, within ``tau`` of a root, the vectors from
    which the person's joints follow::

        flat:         joint_j = root + Z D_j
        hierarchical: joint_j = joint_parent(j) + Z D_j

    See :func:`rmpe_spm.spm.targets.displacement_maps` for the values. What
    the paper leaves open (the root, units, missing joints) or does in a way
    that has alternatives is an option here; the defaults are the paper's.

    Note:
        - instance number: N
        - keypoint number: K
        - keypoint dimension: D (2)
        - image size: [w, h]
        - heatmap size: [W, H]

    Encoded:

        - heatmaps (np.ndarray): Root map in shape (1, H, W), or keypoint
            heatmaps and the root map, which is last, in shape (K+1, H, W),
            float32
        - heatmap_weights (np.ndarray): Weights of the same shape: 1 on
            peaks, ``background_weight`` elsewhere, 0 on persons that are too
            small, float32
        - displacements (np.ndarray): Displacements divided by Z in shape
            (2K, H, W), channels x0, y0, x1, y1, ..., float32; or, with
            ``generate_keypoint_offsets``, (4K, H, W), the offsets last
        - displacement_weights (np.ndarray): 1 where there is a target, else
            0, in the same shape, float32
        - joint_offsets, joint_offset_weights (np.ndarray): With
            ``generate_joint_offsets``, the root-to-joint displacements of
            all labelled joints, in the same shape, float32

    Coordinates are mmpose's: cell u lies at input pixel u * stride, with
    stride = input_size / heatmap_size. Maps of another size than
    ``heatmap_size`` decode with the same stride and the same Z.

    Args:
        input_size (tuple[int, int]): Image size in [w, h].
        heatmap_size (tuple[int, int]): Heatmap size in [W, H].
        kinematics (str | list | dict): The hierarchy, as
            :func:`rmpe_spm.spm.kinematics.build_kinematic_tree` takes it:
            a name, a list of parents, or a mapping. ``'coco-flat'`` and the
            like are the flat form. Defaults to ``'coco'``.
        sigma (float): Size of the root peaks, in ``unit``. Defaults to 7.
        tau (float): Radius of the displacement windows, in ``unit``.
            Defaults to 7.
        unit (str): Unit of ``sigma``, ``tau`` and ``keypoint_sigma``:
            ``'cells'`` of the heatmap or ``'input'`` pixels. The paper does
            not say. Defaults to ``'cells'``.
        gaussian (str): ``'paper'``: exp(-d^2 / sigma^2), or ``'standard'``:
            exp(-d^2 / (2 sigma^2)). Defaults to ``'paper'``.
        window (str): ``'disc'`` or ``'square'`` (of half side tau). Defaults
            to ``'disc'``.
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
        generate_keypoint_heatmaps (bool): Whether to draw heatmaps of the
            joints too. Defaults to ``False``.
        keypoint_sigma (float): Size of their peaks, in ``unit``. Defaults to
            3.
        generate_keypoint_offsets (bool): Whether each joint gets vectors to
            it, divided by Z, in the window of radius ``tau`` around it too,
            from which the places of heatmap peaks are refined (as in
            CenterNet and MoveNet). Defaults to ``False``.
        generate_joint_offsets (bool): Whether to give root-to-joint
            displacements too, for a loss on accumulated displacements.
            Defaults to ``False``.
        ignore_outside (bool): Whether joints outside of the map count as not
            labelled. Defaults to ``False``.
        min_diagonal (float): A person whose labelled joints span a smaller
            diagonal, in input pixels, is neither drawn nor trained as
            background. Defaults to 0.
        background_weight (float): Weight of heatmap cells off the peaks.
            Defaults to 1.
        decode_max_instances (int): The most poses per image. Defaults to 30.
        decode_thr (float): Root peaks up to this score are dropped.
            Defaults to 0.01.
        decode_nms_kernel (int): Side of the window, in cells and odd, in
            which a root must be the highest. Defaults to 5.

    Raises:
        ValueError: If an option has an unknown value, or one that leaves
            windows without a cell.

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
        gaussian: str = 'paper',
        window: str = 'disc',
        overlap: str = 'mean',
        root_type: str | int = 'kpt_center',
        displacement_location: str = 'root',
        missing_parent: str = 'skip',
        normalizer: str | float | None = 'diagonal',
        generate_keypoint_heatmaps: bool = False,
        keypoint_sigma: float = 3,
        generate_keypoint_offsets: bool = False,
        generate_joint_offsets: bool = False,
        ignore_outside: bool = False,
        min_diagonal: float = 0,
        background_weight: float = 1,
        decode_max_instances: int = 30,
        decode_thr: float = 0.01,
        decode_nms_kernel: int = 5,
    ):
        super().__init__()
        self.input_size = tuple(input_size)
        self.heatmap_size = tuple(heatmap_size)
        self.tree = build_kinematic_tree(kinematics)
        self.sigma = sigma
        self.tau = tau
        self.unit = unit
        self.gaussian = gaussian
        self.window = window
        self.overlap = overlap
        self.root_type = root_type
        self.displacement_location = displacement_location
        self.missing_parent = missing_parent
        self.generate_keypoint_heatmaps = generate_keypoint_heatmaps
        self.keypoint_sigma = keypoint_sigma
        self.generate_keypoint_offsets = generate_keypoint_offsets
        self.generate_joint_offsets = generate_joint_offsets
        self.ignore_outside = ignore_outside
        self.min_diagonal = min_diagonal
        self.background_weight = background_weight
        self.decode_max_instances = decode_max_instances
        self.decode_thr = decode_thr
        self.decode_nms_kernel = decode_nms_kernel

        self.scale_factor = np.array(input_size) / np.array(heatmap_size)
        self._metric = (
            np.ones(2) if self.unit == 'cells' else self.scale_factor
        )
        check_options(vars(self), self.tree, self._metric)
        self.normalizer = resolve_normalizer(normalizer, self.heatmap_size)

    @property
    def starts_from_cell(self) -> tuple[bool, ...]:
        """Which displacements start from the cell they are read at.

        All of them around parents and in the flat form, else level 2 only;
        the others are vectors between two joints. Keypoint offsets do.
        """
        everywhere = self.displacement_location == 'parent'
        starts = [everywhere or level == 2 for level in self.tree.levels]
        if self.generate_keypoint_offsets:
            starts += [True] * self.tree.num_joints
        return tuple(starts)

    def accumulate(self, displacements: Tensor) -> Tensor:
        """Add displacements up along the paths from the root.

        Args:
            displacements (Tensor): Maps (B, 2K, H, W) that lie at the root,
                after which keypoint offsets may come.

        Returns:
            Tensor: Root-to-joint displacements (B, 2K, H, W).
        """
        ancestors = tensor_on_device_of(
            self.tree.ancestor_matrix, displacements
        )
        num_joints = self.tree.num_joints
        maps = displacements[:, : 2 * num_joints]
        maps = maps.unflatten(1, (num_joints, 2))
        summed = torch.einsum('ja,baxhw->bjxhw', ancestors, maps)
        return summed.flatten(1, 2)

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
            ValueError: If the joints don't have the shape (N, K, 2) with the
                K of the kinematic tree.
        """
        num_joints = self.tree.num_joints
        if keypoints.ndim != 3 or keypoints.shape[1:] != (num_joints, 2):
            raise ValueError(
                'HierarchicalSPRCodec: keypoints must have the shape '
                f'(N, {num_joints}, 2), as the kinematic tree has '
                f'{num_joints} joints, got {keypoints.shape}'
            )
        points = keypoints / self.scale_factor
        labelled = np.isfinite(points).all(axis=-1)
        if keypoints_visible is not None:
            labelled &= keypoints_visible > 0
        if self.ignore_outside:
            upper = np.array(self.heatmap_size) - 1
            labelled &= ((points >= 0) & (points <= upper)).all(axis=-1)

        points = np.where(labelled[..., None], points, 0.0)
        roots, valid = instance_roots(
            points, labelled, self.root_type, self.tree
        )
        diagonals = instance_diagonals(points * self.scale_factor, labelled)
        small = valid & (diagonals < self.min_diagonal)
        valid &= ~small

        centers, shown = roots[:, None], np.ones((len(roots), 1), bool)
        heatmaps = self._gaussian_maps(centers, valid, self.sigma)
        if self.generate_keypoint_heatmaps:
            keypoint_heatmaps = self._gaussian_maps(
                points, labelled & valid[:, None], self.keypoint_sigma
            )
            heatmaps = np.concatenate((keypoint_heatmaps, heatmaps))
            centers = np.concatenate((points, centers), axis=1)
            shown = np.concatenate((labelled, shown), axis=1)
        encoded = dict(
            heatmaps=heatmaps,
            heatmap_weights=heatmap_weights(
                heatmaps,
                centers,
                shown & valid[:, None],
                shown & small[:, None],
                self.tau,
                self._metric,
                self.window,
                self.background_weight,
            ),
        )

        def encode_displacements(tree, location=self.displacement_location):
            return displacement_maps(
                points,
                labelled,
                roots,
                valid,
                diagonals,
                tree,
                self.heatmap_size,
                self.tau,
                self._metric,
                self.normalizer,
                self.window,
                self.overlap,
                location,
                self.missing_parent,
            )

        targets = encode_displacements(self.tree)
        if self.generate_keypoint_offsets:
            offsets = encode_displacements(self.tree.flat(), 'joint')
            targets = map(np.concatenate, zip(targets, offsets, strict=True))
        encoded['displacements'], encoded['displacement_weights'] = targets
        if self.generate_joint_offsets:
            (
                encoded['joint_offsets'],
                encoded['joint_offset_weights'],
            ) = encode_displacements(self.tree.flat())
        return encoded

    def _gaussian_maps(
        self, centers: np.ndarray, valid: np.ndarray, sigma: float
    ) -> np.ndarray:
        factor = 1.0 if self.gaussian == 'paper' else 2.0
        valid = valid.reshape(centers.shape[:2])
        return gaussian_maps(
            centers, valid, self.heatmap_size, factor * sigma**2, self._metric
        )

    def decode_padded(
        self,
        heatmaps: Tensor,
        displacements: Tensor,
        snap_thr: float | None = None,
        snap_distance: float = 0.1,
        snap_to: str = 'nearest',
    ) -> PaddedPoses:
        """Decode a batch into tensors of fixed shape, on the device.

        Args:
            heatmaps (Tensor): (B, 1, H, W) or (B, K+1, H, W), root last.
            displacements (Tensor): (B, 2K, H, W), or (B, 4K, H, W) with
                ``generate_keypoint_offsets``.
            snap_thr (float, optional): Move joints to peaks of their own
                heatmaps above this score; with displacements around parents
                level by level, so that the next level is read where the peak
                is. Defaults to ``None``: don't.
            snap_distance (float): How far joints move, as a fraction of the
                diagonal of the person's joints. Defaults to 0.1.
            snap_to (str): ``'nearest'`` or ``'best'``, see
                :func:`~rmpe_spm.spm.decoding.snap_to_peaks`. Defaults to
                ``'nearest'``.

        Returns:
            PaddedPoses: M candidates for each image, best first, M being
            ``decode_max_instances`` or the number of cells if that is less.

        Raises:
            ValueError: If the maps don't fit the kinematic tree or each
                other.
        """
        self._check_maps(heatmaps, displacements)
        num_joints = self.tree.num_joints
        with torch.autocast(heatmaps.device.type, enabled=False):
            finite = _finite(heatmaps, displacements)
            root_scores, cells = find_root_peaks(
                heatmaps[:, -1].float(),
                self.decode_nms_kernel,
                self.decode_max_instances,
            )
            root_scores = torch.where(finite[:, None], root_scores, 0.0)
            hierarchy = self.tree, self.normalizer, self.displacement_location
            offsets = None
            if self.generate_keypoint_offsets:
                displacements, offsets = displacements.chunk(2, dim=1)
                offsets = offsets * self.normalizer
            has_keypoint_heatmaps = heatmaps.shape[1] == num_joints + 1
            if snap_thr is None:
                keypoints = read_poses(displacements, cells, *hierarchy)
            else:
                if not has_keypoint_heatmaps:
                    raise ValueError(
                        'HierarchicalSPRCodec: joints can snap to peaks only '
                        'with keypoint heatmaps'
                    )
                peaks = find_joint_peaks(
                    heatmaps[:, :-1], snap_thr, self.decode_nms_kernel, offsets
                )
                keypoints = read_snapped_poses(
                    displacements,
                    cells,
                    peaks,
                    snap_distance,
                    snap_to,
                    *hierarchy,
                )
            if has_keypoint_heatmaps:
                keypoint_scores = sample_keypoint_scores(
                    heatmaps[:, :-1], keypoints
                )
            else:
                keypoint_scores = root_scores[..., None].expand(
                    -1, -1, num_joints
                )
            keypoints = keypoints * tensor_on_device_of(
                self.scale_factor, keypoints
            )
        return PaddedPoses(
            keypoints,
            root_scores,
            keypoint_scores,
            root_scores > self.decode_thr,
            finite,
        )

    def _check_maps(self, heatmaps: Tensor, displacements: Tensor) -> None:
        num_joints = self.tree.num_joints
        num_vectors = num_joints * (2 if self.generate_keypoint_offsets else 1)
        fits = (
            heatmaps.shape[1] in (1, num_joints + 1)
            and displacements.shape[1] == 2 * num_vectors
            and heatmaps.shape[2:] == displacements.shape[2:]
            and heatmaps.shape[0] == displacements.shape[0]
        )
        if not fits:
            raise ValueError(
                f'HierarchicalSPRCodec: with {num_joints} joints the maps '
                f'must have 1 or {num_joints + 1} and {2 * num_vectors} '
                'channels and the same height and width, got '
                f'{tuple(heatmaps.shape)} and {tuple(displacements.shape)}'
            )

    def decode(
        self, heatmaps: Tensor, displacements: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Decode the maps of one image.

        Args:
            heatmaps (Tensor): (1, H, W) or (K+1, H, W), the root last.
            displacements (Tensor): (2K, H, W).

        Returns:
            tuple:
            - keypoints (Tensor): (N, K, 2) in input pixels, best first
            - scores (tuple): root_scores (N,), keypoint_scores (N, K); the
              latter repeat the root's score without keypoint heatmaps
        """
        keypoints, (root_scores, keypoint_scores) = self.batch_decode(
            heatmaps[None], displacements[None]
        )
        return keypoints[0], (root_scores[0], keypoint_scores[0])

    def batch_decode(
        self, heatmaps: Tensor, displacements: Tensor
    ) -> tuple[list[Tensor], tuple[list[Tensor], list[Tensor]]]:
        """Decode the maps of a batch, with one wait for the device in all.

        An image whose maps hold NaN or infinity is reported in a warning and
        yields no pose.

        Args:
            heatmaps (Tensor): (B, 1, H, W) or (B, K+1, H, W), root last.
            displacements (Tensor): (B, 2K, H, W).

        Returns:
            tuple: As in :meth:`decode`, each a list with one tensor for each
            image.
        """
        poses = self.decode_padded(heatmaps, displacements)
        # scores descend, so the valid candidates come first
        summary = torch.stack((poses.valid.sum(dim=1), poses.finite), dim=1)
        counts, finite = zip(*summary.tolist(), strict=True)
        broken = [i for i, is_finite in enumerate(finite) if not is_finite]
        if broken:
            warnings.warn(
                'HierarchicalSPRCodec: the maps of the images '
                f'{broken} of the batch hold NaN or infinity; they yield no '
                'poses',
                RuntimeWarning,
            )
        keypoints, root_scores, keypoint_scores = (
            [item[:count] for item, count in zip(items, counts, strict=True)]
            for items in poses[:3]
        )
        return keypoints, (root_scores, keypoint_scores)


def _finite(heatmaps: Tensor, displacements: Tensor) -> Tensor:
    """Whether each image's maps (B, C, H, W) are finite, (B,) bool.

    A sum is finite only if all its terms are, and needs no copy of the maps.
    """
    total, more = (
        maps.sum(dim=(1, 2, 3), dtype=torch.float32)
        for maps in (heatmaps, displacements)
    )
    return torch.isfinite(total + more)
