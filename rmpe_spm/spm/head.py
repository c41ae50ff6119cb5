"""The head of SPM: roots and displacements, and from them poses."""

from collections.abc import Sequence

import torch
import torch.nn as nn
from mmengine.model import ModuleList
from mmengine.structures import PixelData
from mmpose.models.heads.base_head import BaseHead
from mmpose.registry import KEYPOINT_CODECS, MODELS, TASK_UTILS
from mmpose.utils.typing import OptConfigType, OptSampleList, Predictions
from torch import Tensor

from .codec_3d import place_in_camera_space
from .decoding import PaddedPoses
from .losses import HEATMAP_LOSSES, stage_losses
from .postprocessing import (
    best_instances,
    check_test_options,
    fit_to_images,
    pose_nms_config,
    read_snapping,
    unpad_poses,
)
from .stage import Maps, SPMStage, stage_features
from .test_time_augmentation import (
    merge_flipped,
    merge_scale_poses,
    merge_scales,
    read_inputs,
)


@MODELS.register_module()
class SPMHead(BaseHead):
    r"""Head of `Single-Stage Multi-Person Pose Machines`_ by Nie et al
    (ICCV 2019).

    Each stage predicts the root map C and the displacement maps D with two
    small branches of ordinary convolutions; one gather and one matrix
    product turn them into poses. The loss is the paper's:

    .. math::
        L = \sum_{t=1}^{T} \left[ L_C(C_t) + \beta L_D(D_t) \right]

    with the squared error L_C summed over the map and the absolute error L_D
    summed over the windows around the roots and both coordinates of all
    labelled joints, each averaged over the images of the batch. Beta = 0.01
    balances the two only with sums: with means over cells it would be lost.
    Regions without labels (``heatmap_mask``) are left out of L_C.

    Features come as a tuple, the last ``num_stages`` of which are used. With
    ``feedback`` a stage adds the maps of the stage before, through 1x1
    convolutions, to its own features.

    Args:
        in_channels (int): Channels of the features.
        num_keypoints (int): Number of joints, K.
        num_stages (int): Number of stages T. Defaults to 1.
        in_index (int | Sequence[int]): With one stage only, which of the
            features it takes. Several are resized to the first one and
            added, which after mmpose's ``ChannelMapper`` is a light feature
            pyramid. Defaults to -1.
        keypoint_heatmaps (bool): Whether to predict heatmaps of the joints
            too, which score the joints and to which they can snap. Needs a
            codec with ``generate_keypoint_heatmaps``. Defaults to ``False``.
        keypoint_offsets (bool): Whether to predict vectors from around each
            joint to it, which refine the peaks. Needs a codec with
            ``generate_keypoint_offsets``. Defaults to ``False``.
        stage (dict, optional): A stage from ``MODELS`` that takes the place
            of both branches and their options below, for example
            ``dict(type='MoveNetStage')``. Defaults to ``None``.
        heatmap_head (dict, optional): Convolutions of the heatmap branch:
            ``num_convs``, ``channels``, ``kernel_size``. Defaults to
            ``None``: one 1x1 convolution with 256 channels.
        displacement_head (dict, optional): The same for the displacement
            branch. Defaults to ``None``.
        norm_cfg (dict): Normalisation. Defaults to ``dict(type='BN')``.
        feedback (bool): Whether each stage gets the predictions of the one
            before. Defaults to ``False``.
        beta (float): Weight of the losses on displacements. Defaults to
            0.01.
        heatmap_loss, keypoint_loss (dict): Losses of the root map and of the
            joints' heatmaps. Default to ``dict(type='MapL2Loss')``.
        displacement_loss (dict): Loss of the displacements. Defaults to
            ``dict(type='MapL1Loss')``.
        joint_offset_loss (dict, optional): Loss of the displacements added
            up from the root to each joint, weighted by ``beta`` too. It
            also trains joints whose parents are not labelled. Needs a codec
            with ``generate_joint_offsets``. Defaults to ``None``: none.
        depth_loss, root_depth_loss (dict, optional): With
            :class:`~rmpe_spm.HierarchicalSPR3DCodec` the losses of the
            joints' depths and of the root's, weighted by ``beta`` too. What
            a picture has no depths for adds nothing to them. Default to
            ``dict(type='MapL1Loss')``.
        decoder (dict, optional): The codec,
            :class:`~rmpe_spm.HierarchicalSPRCodec` or in 3D
            :class:`~rmpe_spm.HierarchicalSPR3DCodec`. Needed at test, in 3D
            and with ``joint_offset_loss``. Defaults to ``None``.
        init_cfg (dict, optional): Beside the stages' own. Defaults to None.

    At test ``test_cfg`` may have, as in mmpose:

    - ``flip_test`` (bool), ``shift_heatmap`` (bool, default True: resample
      the mirrored heatmaps by the exact part of a cell);
    - ``multiscale_test`` (bool), see
      :class:`~rmpe_spm.MultiscaleBottomupPoseEstimator`: the maps of all
      sizes are averaged, or with ``pose_size_range`` (lowest, highest) each
      pose is taken from the inputs where the longer side of its joints' box
      is in that range of pixels, which needs an NMS;
    - ``nms`` (dict): a pose NMS from ``TASK_UTILS``; or ``nms_dist_thr``,
      ``nms_joints_thr`` (nearby joints NMS, off by default);
    - ``max_num_people`` (int, default 30, no more than the codec's
      ``decode_max_instances``), ``output_heatmaps`` (bool);
    - ``snap_thr`` (float), ``snap_distance`` (float, default 0.1) and
      ``snap_to`` (``'nearest'``, the default, or ``'best'``): move joints to
      peaks of their own heatmaps above the score, the nearest one up to this
      fraction of the pose's diagonal away, or the best one by score times a
      Gaussian of this size; parents before their children are read with
      displacements around parents.

    Predicted ``keypoint_scores`` are the root's score, times the joint's
    heatmap where it is predicted; ``bbox_scores`` are their means.

    .. _Single-Stage Multi-Person Pose Machines:
        https://arxiv.org/abs/1908.09220
    """

    def __init__(
        self,
        in_channels: int,
        num_keypoints: int,
        num_stages: int = 1,
        in_index: int | Sequence[int] = -1,
        keypoint_heatmaps: bool = False,
        keypoint_offsets: bool = False,
        stage: OptConfigType = None,
        heatmap_head: OptConfigType = None,
        displacement_head: OptConfigType = None,
        norm_cfg: OptConfigType = None,
        feedback: bool = False,
        beta: float = 0.01,
        heatmap_loss: OptConfigType = None,
        displacement_loss: OptConfigType = None,
        keypoint_loss: OptConfigType = None,
        joint_offset_loss: OptConfigType = None,
        depth_loss: OptConfigType = None,
        root_depth_loss: OptConfigType = None,
        decoder: OptConfigType = None,
        init_cfg: OptConfigType = None,
    ):
        super().__init__(init_cfg)
        self.num_keypoints = num_keypoints
        self.num_stages = num_stages
        self.in_index = in_index
        self.keypoint_heatmaps = keypoint_heatmaps
        self.keypoint_offsets = keypoint_offsets
        self.feedback = feedback
        self.beta = beta
        self.decoder = None
        if decoder is not None:
            self.decoder = KEYPOINT_CODECS.build(decoder)
        self._check_decoder(joint_offset_loss is not None)
        if num_stages > 1 and in_index != -1:
            raise ValueError(
                f'SPMHead: in_index={in_index} is for one stage; with '
                f'num_stages={num_stages} the stages take the last feature '
                'maps, one each: leave in_index out'
            )

        stage = dict(
            stage
            or dict(
                type=SPMStage,
                heatmap_head=heatmap_head,
                displacement_head=displacement_head,
                norm_cfg=norm_cfg or dict(type='BN'),
            ),
            in_channels=in_channels,
            num_keypoints=num_keypoints,
            keypoint_heatmaps=keypoint_heatmaps,
            keypoint_offsets=keypoint_offsets,
        )
        self.with_depths = (
            self.decoder is not None
            and self.decoder.representation.with_depths
        )
        if self.with_depths:
            stage['depth_locations'] = (
                self.decoder.representation.depth_locations
            )
        with_feedback = dict(stage, feedback=True)
        self.stages = ModuleList(
            MODELS.build(with_feedback if feedback and index else stage)
            for index in range(num_stages)
        )
        losses = dict(
            heatmap=heatmap_loss or dict(type='MapL2Loss'),
            displacement=displacement_loss or dict(type='MapL1Loss'),
        )
        if keypoint_heatmaps:
            losses['keypoint'] = keypoint_loss or dict(type='MapL2Loss')
        if joint_offset_loss is not None:
            losses['joint_offset'] = joint_offset_loss
        if self.with_depths:
            losses['depth'] = depth_loss or dict(type='MapL1Loss')
            losses['root_depth'] = root_depth_loss or dict(type='MapL1Loss')
        self.loss_module = nn.ModuleDict(
            {name: MODELS.build(config) for name, config in losses.items()}
        )

    def _check_decoder(self, with_joint_offsets: bool) -> None:
        codec = self.decoder
        if with_joint_offsets and not getattr(
            codec, 'generate_joint_offsets', False
        ):
            raise ValueError(
                'SPMHead: joint_offset_loss needs `decoder`, a codec with '
                'generate_joint_offsets=True'
            )
        if codec is None:
            return
        if codec.tree.num_joints != self.num_keypoints:
            raise ValueError(
                f'SPMHead: num_keypoints={self.num_keypoints}, but the '
                f"codec's kinematic tree has {codec.tree.num_joints} joints"
            )
        for maps in ('keypoint_heatmaps', 'keypoint_offsets'):
            generated = getattr(codec, f'generate_{maps}')
            if generated != getattr(self, maps):
                raise ValueError(
                    f'SPMHead: {maps}={getattr(self, maps)}, but the codec '
                    f'has generate_{maps}={generated}'
                )

    def forward_stages(self, feats: Sequence[Tensor]) -> list[Maps]:
        """Predict the maps of all stages, each as :meth:`forward` gives."""
        outputs = []
        features = stage_features(feats, self.num_stages, self.in_index)
        for stage, feature in zip(self.stages, features, strict=True):
            previous = outputs[-1] if self.feedback and outputs else None
            outputs.append(stage(feature, previous))
        return outputs

    def forward(self, feats: Sequence[Tensor]) -> Maps:
        """Predict the maps of the last stage.

        Returns:
            tuple[Tensor, Tensor]: Heatmaps (B, 1 or K+1, H, W), the root
            last, and displacements (B, 2K, H, W), or (B, 4K, H, W) with
            keypoint offsets; in 3D with K + 1 depths behind them.
        """
        if self.feedback:
            return self.forward_stages(feats)[-1]
        features = stage_features(feats, self.num_stages, self.in_index)
        return self.stages[-1](features[-1])

    def loss(
        self,
        feats: Sequence[Tensor],
        batch_data_samples: OptSampleList,
        train_cfg: OptConfigType = None,
    ) -> dict[str, Tensor]:
        """Compute the losses, summed over the stages.

        Returns:
            dict[str, Tensor]: ``loss/heatmap``, ``loss/displacement`` and
            where they are on ``loss/keypoint``, ``loss/joint_offset``,
            ``loss/depth`` and ``loss/root_depth``.
        """
        fields = [sample.gt_fields for sample in batch_data_samples]
        gt = {
            key: torch.stack([field.get(key) for field in fields])
            for key in fields[0].keys()  # noqa: SIM118 (no dict)
        }
        losses: dict[str, Tensor] = {}
        for maps in self.forward_stages(feats):
            found = stage_losses(self.loss_module, maps, gt, self.decoder)
            for name, loss in found.items():
                weight = 1 if name in HEATMAP_LOSSES else self.beta
                key = f'loss/{name}'
                losses[key] = losses.get(key, 0) + weight * loss
        return losses

    def predict(
        self,
        feats: Sequence,
        batch_data_samples: OptSampleList,
        test_cfg: OptConfigType = None,
    ) -> Predictions:
        """Predict the poses of a batch of images.

        Args:
            feats (Sequence): Features of the stages; with ``flip_test`` a
                list of those of the images and of the mirrored images; with
                ``multiscale_test`` a list with the same for each scale.
            batch_data_samples (list[PoseDataSample]): Meta information:
                ``flip_indices`` for the flip test, ``aug_input_sizes`` and
                ``aug_input_scales`` for the multi-scale test.
            test_cfg (dict, optional): See above.

        Returns:
            list[InstanceData] | tuple[list[InstanceData], list[PixelData]]:
            For each image ``keypoints`` (N, K, 2) and ``bboxes`` (N, 4, in
            xyxy format) in input pixels, ``keypoint_scores`` (N, K) and
            ``bbox_scores`` (N,), all numpy float32, best first; in 3D
            ``keypoint_depths`` (N, K + 1) as
            :class:`~rmpe_spm.spm.decoding.PaddedPoses` has them and, where
            the meta information has the ``camera``, ``keypoints_3d`` (N, K,
            3) in millimetres of its space; with ``output_heatmaps`` also the
            merged ``heatmaps`` and ``displacements``, or with
            ``pose_size_range`` those of the first size.
        """
        test_cfg = test_cfg or {}
        if self.decoder is None:
            raise RuntimeError('SPMHead needs `decoder`, a codec, to predict')
        check_test_options(test_cfg, self.decoder.decode_max_instances)
        metas = [sample.metainfo for sample in batch_data_samples]
        if not test_cfg.get('multiscale_test', False):
            maps = self._predict_maps(feats, metas, test_cfg)
            poses = self.decode_maps(maps, test_cfg)
        else:
            inputs = read_inputs(metas)
            scales = [
                self._predict_maps(own, metas, test_cfg, scale)
                for scale, own in enumerate(feats)
            ]
            size_range = test_cfg.get('pose_size_range')
            if size_range is None:
                codec = self.decoder
                maps = merge_scales(
                    scales, inputs, codec.representation, codec.scale_factor
                )
                poses = self.decode_maps(maps, test_cfg)
            else:
                maps = scales[0]
                poses = [self.decode_maps(own, test_cfg) for own in scales]
                poses = merge_scale_poses(poses, inputs, size_range)
        nms = pose_nms_config(test_cfg)
        preds = best_instances(
            unpad_poses(poses, metas),
            test_cfg.get('max_num_people', 30),
            None if nms is None else TASK_UTILS.build(nms).batch,
        )
        if self.with_depths:
            place_in_camera_space(preds, metas)
        if not test_cfg.get('output_heatmaps', False):
            return preds
        return preds, [
            PixelData(heatmaps=h.detach(), displacements=d.detach())
            for h, d in zip(*maps, strict=True)
        ]

    def _predict_maps(
        self,
        feats: Sequence,
        metas: list[dict],
        test_cfg: dict,
        scale: int = 0,
    ) -> Maps:
        """The maps of one size, in which nobody is beside the images."""
        codec = self.decoder
        if test_cfg.get('flip_test', False):
            flip_indices = metas[0]['flip_indices']
            codec.tree.check_symmetry(flip_indices)
            heatmaps, displacements = merge_flipped(
                self.forward(feats[0]),
                self.forward(feats[1]),
                flip_indices,
                codec.representation,
                float(codec.scale_factor[0]),
                shift=test_cfg.get('shift_heatmap', True),
            )
        else:
            heatmaps, displacements = self.forward(feats)
        heatmaps = fit_to_images(heatmaps, metas, codec.scale_factor, scale)
        return heatmaps, displacements

    def decode_maps(self, maps: Maps, test_cfg: dict) -> PaddedPoses:
        poses = self.decoder.decode_padded(*maps, read_snapping(test_cfg))
        if self.keypoint_heatmaps:
            # a regressed heatmap may be slightly negative
            scores = poses.keypoint_scores.clamp(min=0)
            scores = scores * poses.root_scores[..., None]
            poses = poses._replace(keypoint_scores=scores)
        return poses
