"""The head of SPM: roots and displacements, and from them poses."""

from collections.abc import Sequence
from copy import deepcopy

import torch
import torch.nn as nn
from mmengine.model import ModuleList
from mmengine.structures import PixelData
from mmpose.models.heads.base_head import BaseHead
from mmpose.registry import KEYPOINT_CODECS, MODELS, TASK_UTILS
from mmpose.utils.typing import (
    ConfigType,
    Features,
    InstanceList,
    OptConfigType,
    OptSampleList,
    Predictions,
)
from torch import Tensor

from ..tensors import add_levels
from .codec_options import check_test_options, pose_nms_config
from .decoding import PaddedPoses
from .map_merging import merge_flipped, merge_poses, merge_scales, read_frames
from .postprocessing import (
    best_instances,
    check_map_size,
    image_regions,
    mask_padding,
    unpad_poses,
)
from .stage import SPMStage

# A map of predictions: heatmaps and displacements
Maps = tuple[Tensor, Tensor]


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
    convolutions, to its own features. (PPN, the author's earlier network,
    adds them to what goes into the next hourglass. Here backbone and head
    stay apart, so that any backbone works and the predictions are refined
    within the head.)

    Args:
        in_channels (int): Channels of the features, the same at all stages.
        num_keypoints (int): Number of joints, K.
        num_stages (int): Number of stages T. Defaults to 1.
        in_index (int | Sequence[int]): With one stage only, which of the
            features it takes. Several are resized to the first one and
            added, which after mmpose's ``ChannelMapper`` is a light feature
            pyramid.
            Defaults to -1.
        keypoint_heatmaps (bool): Whether to predict heatmaps of the joints
            too, which score the joints and to which they can snap. Needs a
            codec with ``generate_keypoint_heatmaps``. Defaults to ``False``.
        keypoint_offsets (bool): Whether to predict vectors from around each
            joint to it, which refine the peaks. Needs a codec with
            ``generate_keypoint_offsets``. Defaults to ``False``.
        stage (dict, optional): A stage from ``MODELS`` that takes the place
            of both branches and their options below, for example
            ``dict(type='MoveNetStage')``. Defaults to ``None``.
        shared_head (dict, optional): Convolutions before both branches:
            ``num_convs``, ``channels``, ``kernel_size``, ``depthwise``.
            Defaults to ``None``: none.
        heatmap_head (dict, optional): Convolutions of the heatmap branch,
            with the same keys. Defaults to ``None``: one 1x1 convolution
            with 256 channels.
        displacement_head (dict, optional): The same for the displacement
            branch. Defaults to ``None``: one 1x1 convolution with 256
            channels.
        norm_cfg (dict, optional): Normalisation. Defaults to ``None``:
            batch normalisation.
        feedback (bool): Whether each stage gets the predictions of the one
            before. Defaults to ``False``.
        beta (float): Weight of the losses on displacements. Defaults to
            0.01.
        heatmap_loss (dict, optional): Loss of the root map. Defaults to
            ``None``: ``dict(type='MapL2Loss')``.
        displacement_loss (dict, optional): Loss of the displacements.
            Defaults to ``None``: ``dict(type='MapL1Loss')``.
        keypoint_loss (dict, optional): Loss of the joints' heatmaps.
            Defaults to ``None``: ``dict(type='MapL2Loss')``.
        joint_offset_loss (dict, optional): Loss of the displacements added
            up from the root to each joint, weighted by ``beta`` too. It
            also trains joints whose parents are not labelled. Needs a codec
            with ``generate_joint_offsets``. Defaults to ``None``: none.
        decoder (dict, optional): The codec,
            :class:`~rmpe_spm.HierarchicalSPRCodec`. Needed at test,
            with feature maps mirrored or merged, and with
            ``joint_offset_loss``. Defaults to ``None``.
        init_cfg (dict, optional): Initialisation beside the stages' own.
            Defaults to ``None``.

    At test ``test_cfg`` may have, as in mmpose:

    - ``flip_test`` (bool), ``shift_heatmap`` (bool, default True: resample
      the mirrored heatmaps by the exact part of a cell);
    - ``multiscale_test`` (bool), see
      :class:`~rmpe_spm.models.MultiscaleBottomupPoseEstimator`: the maps of
      all sizes are averaged, or with ``pose_size_range`` (lowest, highest)
      each pose is taken from the inputs where the longer side of its joints'
      box is in that range of pixels, which needs an NMS
      (:func:`~rmpe_spm.spm.map_merging.merge_poses`);
    - ``nms`` (dict): a pose NMS from ``TASK_UTILS``, for example
      ``dict(type='ParametricPoseNMS', preset='coco')``; or ``nms_dist_thr``,
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
    heatmap where it is predicted; ``bbox_scores`` are their means and
    ``bboxes`` the boxes around the joints.

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
        shared_head: OptConfigType = None,
        heatmap_head: OptConfigType = None,
        displacement_head: OptConfigType = None,
        norm_cfg: OptConfigType = None,
        feedback: bool = False,
        beta: float = 0.01,
        heatmap_loss: OptConfigType = None,
        displacement_loss: OptConfigType = None,
        keypoint_loss: OptConfigType = None,
        joint_offset_loss: OptConfigType = None,
        decoder: OptConfigType = None,
        init_cfg: OptConfigType = None,
    ):
        super().__init__(init_cfg)
        self.in_channels = in_channels
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
                f'SPMHead: in_index={in_index} chooses levels for one stage; '
                f'with num_stages={num_stages} the stages take the last '
                f'{num_stages} feature maps, one each: leave in_index out'
            )

        channels = dict(
            in_channels=in_channels,
            num_heatmaps=num_keypoints + 1 if keypoint_heatmaps else 1,
            num_displacements=num_keypoints * (4 if keypoint_offsets else 2),
        )
        if stage is not None:
            options = dict(stage, num_keypoints=num_keypoints, **channels)
            stages = [MODELS.build(options) for _ in range(num_stages)]
        else:
            stages = [
                SPMStage(
                    **channels,
                    shared_head=shared_head,
                    heatmap_head=heatmap_head,
                    displacement_head=displacement_head,
                    norm_cfg=norm_cfg or dict(type='BN'),
                    feedback=feedback and index > 0,
                )
                for index in range(num_stages)
            ]
        self.stages = ModuleList(stages)
        losses = dict(
            heatmap=heatmap_loss or dict(type='MapL2Loss'),
            displacement=displacement_loss or dict(type='MapL1Loss'),
        )
        if keypoint_heatmaps:
            losses['keypoint'] = keypoint_loss or dict(type='MapL2Loss')
        if joint_offset_loss is not None:
            losses['joint_offset'] = joint_offset_loss
        self.loss_module = nn.ModuleDict(
            {name: MODELS.build(config) for name, config in losses.items()}
        )
        self._nms_config: ConfigType | None = None
        self._nms = None

    def _check_decoder(self, with_joint_offsets: bool) -> None:
        if self.decoder is None:
            if with_joint_offsets:
                raise ValueError(
                    'SPMHead: joint_offset_loss needs `decoder`, whose '
                    'kinematic tree says how displacements add up'
                )
            return
        num_joints = self.decoder.tree.num_joints
        if num_joints != self.num_keypoints:
            raise ValueError(
                f'SPMHead: num_keypoints={self.num_keypoints}, but the '
                f"codec's kinematic tree has {num_joints} joints"
            )
        for maps in ('keypoint_heatmaps', 'keypoint_offsets'):
            generated = getattr(self.decoder, f'generate_{maps}')
            if generated != getattr(self, maps):
                raise ValueError(
                    f'SPMHead: {maps}={getattr(self, maps)}, but the codec '
                    f'has generate_{maps}={generated}'
                )
        if with_joint_offsets and not self.decoder.generate_joint_offsets:
            raise ValueError(
                'SPMHead: joint_offset_loss needs '
                'generate_joint_offsets=True in the codec'
            )

    def _stage_features(self, feats: Sequence[Tensor]) -> list[Tensor]:
        if self.num_stages == 1:
            if isinstance(self.in_index, int):
                return [feats[self.in_index]]
            return [add_levels([feats[i] for i in self.in_index], 'SPMHead')]
        if len(feats) < self.num_stages:
            raise ValueError(
                f'SPMHead: num_stages={self.num_stages}, but the backbone '
                f'gives {len(feats)} feature maps'
            )
        return list(feats[-self.num_stages :])

    def forward_stages(self, feats: Sequence[Tensor]) -> list[Maps]:
        """Predict the maps of all stages.

        Args:
            feats (Sequence[Tensor]): Features (B, C, H, W) of the stages.

        Returns:
            list[tuple[Tensor, Tensor]]: For each stage heatmaps (B, 1 or
            K+1, H, W), the root last, and displacements (B, 2K, H, W), or
            (B, 4K, H, W) with keypoint offsets.
        """
        outputs = []
        for stage, feature in zip(
            self.stages, self._stage_features(feats), strict=True
        ):
            previous = outputs[-1] if self.feedback and outputs else None
            outputs.append(stage(feature, previous))
        return outputs

    def forward(self, feats: Sequence[Tensor]) -> Maps:
        """Predict the maps of the last stage.

        Args:
            feats (Sequence[Tensor]): Features (B, C, H, W) of the stages.

        Returns:
            tuple[Tensor, Tensor]: Heatmaps and displacements as in
            :meth:`forward_stages`.
        """
        if self.feedback:
            return self.forward_stages(feats)[-1]
        return self.stages[-1](self._stage_features(feats)[-1])

    def loss(
        self,
        feats: Sequence[Tensor],
        batch_data_samples: OptSampleList,
        train_cfg: OptConfigType = None,
    ) -> dict[str, Tensor]:
        """Compute the losses, summed over the stages.

        Args:
            feats (Sequence[Tensor]): Features (B, C, H, W) of the stages.
            batch_data_samples (list[PoseDataSample]): Their ``gt_fields``
                hold what the codec encoded.
            train_cfg (dict, optional): Not used. Defaults to ``None``.

        Returns:
            dict[str, Tensor]: ``loss/heatmap``, ``loss/displacement`` and
            where they are on ``loss/keypoint`` and ``loss/joint_offset``.
        """
        fields = [sample.gt_fields for sample in batch_data_samples]

        def stack(key: str) -> Tensor:
            return torch.stack([field.get(key) for field in fields])

        heatmaps, heatmap_weights = stack('heatmaps'), stack('heatmap_weights')
        displacements = stack('displacements')
        displacement_weights = stack('displacement_weights')
        mask = stack('heatmap_mask') if 'heatmap_mask' in fields[0] else None

        losses: dict[str, Tensor] = {}

        def add(name: str, value: Tensor) -> None:
            key = f'loss/{name}'
            losses[key] = losses[key] + value if key in losses else value

        modules = self.loss_module
        for pred_heatmaps, pred_displacements in self.forward_stages(feats):
            add(
                'heatmap',
                modules['heatmap'](
                    pred_heatmaps[:, -1:],
                    heatmaps[:, -1:],
                    heatmap_weights[:, -1:],
                    mask,
                ),
            )
            add(
                'displacement',
                self.beta
                * modules['displacement'](
                    pred_displacements, displacements, displacement_weights
                ),
            )
            if 'keypoint' in modules:
                add(
                    'keypoint',
                    modules['keypoint'](
                        pred_heatmaps[:, :-1],
                        heatmaps[:, :-1],
                        heatmap_weights[:, :-1],
                        mask,
                    ),
                )
            if 'joint_offset' in modules:
                add(
                    'joint_offset',
                    self.beta
                    * modules['joint_offset'](
                        self.decoder.accumulate(pred_displacements),
                        stack('joint_offsets'),
                        stack('joint_offset_weights'),
                    ),
                )
        return losses

    def predict(
        self,
        feats: Features,
        batch_data_samples: OptSampleList,
        test_cfg: OptConfigType = None,
    ) -> Predictions:
        """Predict the poses of a batch of images.

        Args:
            feats (Features): Features of the stages; with ``flip_test`` a
                list of those of the images and of the mirrored images; with
                ``multiscale_test`` a list with the same for each scale.
            batch_data_samples (list[PoseDataSample]): Meta information:
                ``flip_indices`` for the flip test, ``aug_input_sizes`` and
                ``aug_input_scales`` for the multi-scale test.
            test_cfg (dict, optional): See above. Defaults to ``None``.

        Returns:
            list[InstanceData] | tuple[list[InstanceData], list[PixelData]]:
            For each image ``keypoints`` (N, K, 2) and ``bboxes`` (N, 4, in
            xyxy format) in input pixels, ``keypoint_scores`` (N, K) and
            ``bbox_scores`` (N,), all numpy float32, best first; with
            ``output_heatmaps`` also the merged ``heatmaps`` and
            ``displacements``, or with ``pose_size_range`` those of the first
            size.
        """
        test_cfg = test_cfg or {}
        if self.decoder is None:
            raise RuntimeError(
                'SPMHead needs `decoder` (the codec) in its config to predict'
            )
        check_test_options(test_cfg, self.decoder.decode_max_instances)
        if test_cfg.get('multiscale_test', False):
            poses, maps = self._predict_scales(
                feats, batch_data_samples, test_cfg
            )
        else:
            maps = self._forward_flip(feats, batch_data_samples, test_cfg)
            maps = self._fit_to_images(maps, batch_data_samples)
            poses = self._decode_maps(maps, test_cfg)
        preds = self._choose(poses, batch_data_samples, test_cfg)
        if test_cfg.get('output_heatmaps', False):
            fields = [
                PixelData(heatmaps=h.detach(), displacements=d.detach())
                for h, d in zip(*maps, strict=True)
            ]
            return preds, fields
        return preds

    def _predict_scales(
        self, feats: Features, samples: OptSampleList, test_cfg: ConfigType
    ) -> tuple[PaddedPoses, Maps]:
        """Poses and merged maps of images in several sizes."""
        frames = read_frames([sample.metainfo for sample in samples])
        maps = [
            self._fit_to_images(
                self._forward_flip(own, samples, test_cfg), samples, scale
            )
            for scale, own in enumerate(feats)
        ]
        size_range = test_cfg.get('pose_size_range', None)
        if size_range is not None:
            poses = [self._decode_maps(own, test_cfg) for own in maps]
            return merge_poses(poses, *frames, size_range), maps[0]
        merged = merge_scales(
            maps,
            *frames,
            self.decoder.starts_from_cell,
            self.decoder.scale_factor,
            self.decoder.normalizer,
        )
        return self._decode_maps(merged, test_cfg), merged

    def _forward_flip(
        self, feats: Features, samples: OptSampleList, test_cfg: ConfigType
    ) -> Maps:
        if not test_cfg.get('flip_test', False):
            return self.forward(feats)
        feats, mirrored_feats = feats
        flip_indices = samples[0].metainfo['flip_indices']
        self.decoder.tree.check_symmetry(flip_indices)
        return merge_flipped(
            self.forward(feats),
            self.forward(mirrored_feats),
            flip_indices,
            self.decoder.starts_from_cell,
            float(self.decoder.scale_factor[0]),
            self.decoder.normalizer,
            shift=test_cfg.get('shift_heatmap', True),
        )

    def _fit_to_images(
        self, maps: Maps, samples: OptSampleList, scale: int = 0
    ) -> Maps:
        """Check the maps' stride, and let nobody be found beside images."""
        heatmaps, displacements = maps
        stride = self.decoder.scale_factor.tolist()
        metas = [sample.metainfo for sample in samples]
        if scale == 0 and 'batch_input_shape' in metas[0]:
            check_map_size(
                heatmaps.shape[:1:-1],
                metas[0]['batch_input_shape'][::-1],
                stride,
                'SPMHead',
            )
        if all('input_size' in meta for meta in metas):
            regions = image_regions(metas, scale)
            heatmaps = mask_padding(heatmaps, regions, stride)
        return heatmaps, displacements

    def _decode_maps(self, maps: Maps, test_cfg: ConfigType) -> PaddedPoses:
        snap = {
            key: test_cfg[key]
            for key in ('snap_thr', 'snap_distance', 'snap_to')
            if key in test_cfg
        }
        poses = self.decoder.decode_padded(*maps, **snap)
        if self.keypoint_heatmaps:
            # a regressed heatmap may be slightly negative
            scores = poses.keypoint_scores.clamp(min=0)
            scores = scores * poses.root_scores[..., None]
            poses = poses._replace(keypoint_scores=scores)
        return poses

    def _choose(
        self, poses: PaddedPoses, samples: OptSampleList, test_cfg: ConfigType
    ) -> InstanceList:
        config = pose_nms_config(test_cfg)
        if config != self._nms_config:
            self._nms = None if config is None else TASK_UTILS.build(config)
            # a copy, since a sweep may change the config in place
            self._nms_config = deepcopy(config)
        return best_instances(
            unpad_poses(poses, [sample.metainfo for sample in samples]),
            test_cfg.get('max_num_people', 30),
            None if self._nms is None else self._nms.batch,
        )
