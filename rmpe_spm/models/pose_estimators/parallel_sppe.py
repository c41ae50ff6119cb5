"""ParallelSPPE: RMPE's symmetric transformer around a top-down model."""

import logging
from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from mmengine.runner import load_checkpoint
from mmengine.structures import InstanceData, PixelData
from mmpose.models.pose_estimators import TopdownPoseEstimator
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from mmpose.utils.typing import (
    ConfigType,
    OptConfigType,
    OptMultiConfig,
    OptSampleList,
    SampleList,
)
from torch import Tensor, nn

from ..heads.sstn_head import check_transform
from ..utils.sdtn import (
    CropFrame,
    check_sdtn_mode,
    forward_in_crop,
    keypoint_head,
    predict_in_crop,
    sdtn_on_forward,
)
from ..utils.spatial_transformer import warp
from ..utils.theta import mirror_theta

BRANCH = 'parallel_sppe'
TARGET_PREFIX = 'center_'


@MODELS.register_module()
class ParallelSPPE(TopdownPoseEstimator):
    """Regional pose estimation, `RMPE`_ by Fang et al (2017).

    Makes any top-down model robust to bad boxes. A localiser regresses a
    transform theta from the crop; the STN warps the crop by it, the
    single-person pose estimator (SPPE) predicts in the warped crop, and the
    SDTN brings the prediction back to the crop's frame, where the main loss
    is taken. In training a frozen twin of the SPPE looks at the same warped
    crop without an SDTN and is supervised by the pose in the frame of the
    clean box (:class:`GenerateCenterTarget`), so that its error can only be
    lowered by a theta that centres the person.

    The SPPE's ``backbone``, ``neck`` and ``head`` keep their names, so the
    checkpoint of a plain model loads as it is, and parameter-wise optimiser
    settings that name them keep working.

    The parallel branch lives in training only. It is made at the first
    training step, when the pretrained weights have been loaded; it is never
    trained (no gradients, evaluation mode, statistics still), and is part
    of training checkpoints, so that training resumes with the same twin.
    A model that has not been trained in this process has no branch.
    ``tools/publish_rmpe.py`` writes checkpoints without it.

    mmpose's ``init_model`` looks for ``model.backbone`` in the config unless
    it is given options: ``init_model(config, checkpoint, cfg_options={})``.

    Note:
        - batch size: B
        - keypoint number: K
        - image size: [w, h]
        - heatmap size: [W, H]

    Args:
        sppe (dict): Config of a :class:`TopdownPoseEstimator`. Its
            ``test_cfg``, ``train_cfg`` and ``data_preprocessor`` are used.
        localizer (dict): Config of the localiser's backbone.
        sstn (dict): Config of an :class:`SSTNHead` without inner head.
        localizer_size (tuple[int, int], optional): Size ``(w, h)`` of the
            reduced crop that the localiser sees. None means the crop
            itself. Defaults to None.
        localizer_from_backbone (bool): Whether the localiser, of the same
            architecture as the backbone, starts from the backbone's weights
            where a checkpoint without localiser is loaded (that of a plain
            model). Defaults to False.
        parallel (dict, optional): The parallel branch; None means none.
            Keys, all optional: ``sppe``, config of another top-down model
            (by default a copy of the main one, weights included);
            ``checkpoint``, its weights; ``loss_weight``, by default 1.
            Defaults to None.
        train_cfg (dict, optional): Added to the SPPE's. Defaults to None.
        test_cfg (dict, optional): Added to the SPPE's. Its key ``sdtn`` is
            ``'coordinates'`` (theta applied to decoded keypoints, exact) or
            ``'heatmaps'`` (the paper's). Defaults to None.
        data_preprocessor (dict, optional): Overrides the SPPE's. Defaults
            to None.
        init_cfg (dict, optional): Initialisation. Defaults to None.
        metainfo (dict, optional): Overrides the data set's. Defaults to
            None.

    .. _`RMPE`: https://arxiv.org/abs/1612.00137
    """

    def __init__(
        self,
        sppe: ConfigType,
        localizer: ConfigType,
        sstn: ConfigType,
        localizer_size: tuple[int, int] | None = None,
        localizer_from_backbone: bool = False,
        parallel: OptConfigType = None,
        train_cfg: OptConfigType = None,
        test_cfg: OptConfigType = None,
        data_preprocessor: OptConfigType = None,
        init_cfg: OptMultiConfig = None,
        metainfo: dict | None = None,
    ) -> None:
        sppe = deepcopy(sppe)
        _check_sppe(sppe, 'sppe')
        for key in ('type', '_scope_'):
            sppe.pop(key, None)
        for name, cfg in (('train_cfg', train_cfg), ('test_cfg', test_cfg)):
            sppe[name] = {**(sppe.get(name) or {}), **(cfg or {})}
        check_sdtn_mode(sppe['test_cfg'])
        overrides = dict(
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
            metainfo=metainfo,
        )
        sppe.update({k: v for k, v in overrides.items() if v is not None})
        super().__init__(**sppe)
        self.localizer = MODELS.build(localizer)
        self.sstn = MODELS.build(sstn)
        if self.sstn.head is not None:
            raise ValueError(
                'sstn: at the image level SSTNHead takes no inner `head`; '
                "the SPPE's own head is used"
            )
        check_transform(self.head, self.sstn.transform)
        self.localizer_size = localizer_size
        self.frame = CropFrame.of_decoder(keypoint_head(self.head).decoder)
        self.parallel_cfg = _check_parallel(parallel)
        self._parallel_state: dict[str, Tensor] = {}
        self._register_load_state_dict_pre_hook(self._stash_parallel)
        if localizer_from_backbone:
            self._register_load_state_dict_pre_hook(self._start_localizer)

    @property
    def with_parallel(self) -> bool:
        """Whether the parallel branch has been made."""
        return BRANCH in self._modules

    def train(self, mode: bool = True) -> 'ParallelSPPE':
        """Set the mode; the parallel branch stays in evaluation mode.

        Args:
            mode (bool): Whether to train. Defaults to True.

        Returns:
            ParallelSPPE: The model.
        """
        super().train(mode)
        if self.with_parallel:
            self.parallel_sppe.eval()
        return self

    def regress_theta(self, inputs: Tensor) -> Tensor:
        """Regress theta from crops.

        Args:
            inputs (Tensor): Crops ``(B, 3, h, w)`` after preprocessing.

        Returns:
            Tensor: theta ``(B, 2, 3)`` as regressed.
        """
        size = (inputs.shape[-1], inputs.shape[-2])
        if self.localizer_size is not None:
            width, height = self.localizer_size
            inputs = F.adaptive_avg_pool2d(inputs, (height, width))
        return self.sstn.regress_theta(self.localizer(inputs), size)

    def stn(self, inputs: Tensor, theta: Tensor) -> Tensor:
        """Warp crops; what lies outside them is black, as in the crops.

        Args:
            inputs (Tensor): Crops ``(B, 3, h, w)`` after preprocessing.
            theta (Tensor): Transforms ``(B, 2, 3)``.

        Returns:
            Tensor: Warped crops ``(B, 3, h, w)``.
        """
        preprocessor, fill = self.data_preprocessor, None
        if getattr(preprocessor, '_enable_normalize', False):
            fill = -(preprocessor.mean / preprocessor.std).flatten()
            fill = fill.expand(inputs.shape[1])
        return warp(inputs, theta, fill)

    def loss(self, inputs: Tensor, data_samples: SampleList) -> dict:
        """Calculate the main loss and that of the parallel branch.

        Args:
            inputs (Tensor): Crops ``(B, 3, h, w)``.
            data_samples (list[PoseDataSample]): Their data samples, with
                centre-located targets where there is a parallel branch.

        Returns:
            dict: The head's losses, ``loss_center`` (``loss_kpt`` of the
            parallel branch; its other losses alike), and ``loss_theta``
            where the SSTN has a ``theta_loss``.
        """
        if self.parallel_cfg is not None and not self.with_parallel:
            self._make_parallel(inputs.device)
        theta = self.sstn.guard(self.regress_theta(inputs))
        warped = self.stn(inputs, theta)
        feats = self.extract_feat(warped)
        with sdtn_on_forward(self.head, [theta], self.frame):
            losses = self.head.loss(
                feats, data_samples, train_cfg=self.train_cfg
            )
        if self.with_parallel:
            losses.update(self._parallel_loss(warped, data_samples))
        losses.update(self.sstn.loss_by_theta(theta, data_samples))
        return losses

    def predict(self, inputs: Tensor, data_samples: SampleList) -> SampleList:
        """Predict keypoints in image coordinates.

        Args:
            inputs (Tensor): Crops ``(B, 3, h, w)``.
            data_samples (list[PoseDataSample]): Their data samples.

        Returns:
            list[PoseDataSample]: The samples with ``pred_instances``.
        """
        if self.test_cfg.get('flip_test', False):
            flipped = inputs.flip(-1)
            theta = self.sstn.test_theta(self.regress_theta, inputs, flipped)
            feats = [
                self.extract_feat(self.stn(inputs, theta)),
                self.extract_feat(self.stn(flipped, mirror_theta(theta))),
            ]
        else:
            theta = self.sstn.test_theta(self.regress_theta, inputs, None)
            feats = self.extract_feat(self.stn(inputs, theta))
        preds = predict_in_crop(
            self.head, feats, data_samples, self.test_cfg, theta, self.frame
        )
        instances, fields = (
            preds if isinstance(preds, tuple) else (preds, None)
        )
        return self.add_pred_to_datasample(instances, fields, data_samples)

    def _forward(
        self, inputs: Tensor, data_samples: OptSampleList = None
    ) -> Any:
        """Return the head's outputs in the crop's frame."""
        theta = self.sstn.guard(self.regress_theta(inputs), warn=False)
        feats = self.extract_feat(self.stn(inputs, theta))
        return forward_in_crop(self.head, feats, theta, self.frame)

    def _make_parallel(self, device: torch.device) -> None:
        """Make the frozen twin, from a resumed run's weights if there are."""
        cfg = self.parallel_cfg
        if cfg['sppe'] is None:
            parts = ('backbone', 'neck', 'head')
            branch = nn.Module()
            for part in parts:
                if part in self._modules:
                    branch.add_module(part, deepcopy(self._modules[part]))
            source = 'a copy of the main SPPE'
        else:
            branch = MODELS.build(cfg['sppe'])
            branch.init_weights()
            source = 'a model of its own'
            if cfg['checkpoint'] is None and not self._parallel_state:
                print_log(
                    "ParallelSPPE: parallel['sppe'] without "
                    "parallel['checkpoint'] starts from what its init_cfg "
                    'gives, and is frozen: a head that was never trained '
                    'teaches nothing. Give the checkpoint of a trained model',
                    'current',
                    logging.WARNING,
                )
        if cfg['checkpoint'] is not None and not self._parallel_state:
            load_checkpoint(branch, cfg['checkpoint'], map_location='cpu')
            source = cfg['checkpoint']
        if self._parallel_state:
            branch.load_state_dict(self._parallel_state)
            self._parallel_state = {}
            source = 'the resumed checkpoint'
        branch.requires_grad_(False)
        self.add_module(BRANCH, branch.to(device).eval())
        print_log(f'The parallel SPPE is {source}, frozen.', 'current')

    def _parallel_loss(self, warped: Tensor, data_samples: SampleList) -> dict:
        """Return the parallel branch's losses on the centre targets."""
        branch = self.parallel_sppe
        samples = [_center_sample(sample) for sample in data_samples]
        feats = branch.backbone(warped)
        if 'neck' in branch._modules:
            feats = branch.neck(feats)
        # A visible joint stays visible however its person is centred.
        losses = keypoint_head(branch.head).loss(
            feats, samples, train_cfg=dict(compute_acc=False)
        )
        weight, named = self.parallel_cfg['loss_weight'], {}
        for name, value in losses.items():
            if name.startswith('loss'):
                suffix = name.removeprefix('loss').removeprefix('_kpt')
                named[f'loss_center{suffix}'] = value * weight
        return named

    def _stash_parallel(self, state_dict, prefix, *args) -> None:
        """Keep a training checkpoint's branch until the branch is made.

        A branch that is there already stays as it is where the checkpoint
        has none.
        """
        prefix = f'{prefix}{BRANCH}.'
        if self.with_parallel:
            if not any(key.startswith(prefix) for key in state_dict):
                own = self.parallel_sppe.state_dict(prefix=prefix)
                state_dict.update(own)
            return
        stash = {
            key[len(prefix) :]: state_dict.pop(key)
            for key in list(state_dict)
            if key.startswith(prefix)
        }
        if self.parallel_cfg is not None:
            self._parallel_state = stash

    def _start_localizer(self, state_dict, prefix, *args) -> None:
        """Give the localiser the weights of a plain model's backbone."""
        target, source = f'{prefix}localizer.', f'{prefix}backbone.'
        if any(key.startswith(target) for key in state_dict):
            return
        for key in list(state_dict):
            if key.startswith(source):
                state_dict[target + key[len(source) :]] = state_dict[key]


def _check_sppe(sppe: ConfigType, name: str) -> None:
    """Check that a config describes mmpose's top-down model."""
    if sppe.get('type') not in ('TopdownPoseEstimator', TopdownPoseEstimator):
        raise ValueError(
            f"{name}: expected the config of a 'TopdownPoseEstimator' (the "
            f'`model` of a top-down config), got type={sppe.get("type")!r}'
        )
    if sppe.get('head') is None:
        raise ValueError(f'{name}: the model needs a `head`')


def _check_parallel(parallel: OptConfigType) -> dict | None:
    """Complete the config of the parallel branch and check its keys."""
    if parallel is None:
        return None
    defaults = dict(sppe=None, checkpoint=None, loss_weight=1.0)
    unknown = sorted(set(parallel) - set(defaults))
    if unknown:
        raise ValueError(
            f'parallel: unknown keys {unknown}; expected {sorted(defaults)}'
        )
    cfg = {**defaults, **parallel}
    if cfg['sppe'] is not None:
        _check_sppe(cfg['sppe'], 'parallel.sppe')
    return cfg


def _center_sample(sample: PoseDataSample) -> PoseDataSample:
    """Return a sample whose targets are the centre-located ones."""
    center = PoseDataSample(metainfo=sample.metainfo)
    fields = type(sample.get('gt_fields', PixelData()))()
    labels = InstanceData()
    for source, target in (
        (sample.get('gt_instance_labels'), labels),
        (sample.get('gt_fields'), fields),
    ):
        for key in [] if source is None else source.keys():
            if key.startswith(TARGET_PREFIX):
                target.set_field(source.get(key), key[len(TARGET_PREFIX) :])
    if not labels.keys():
        raise KeyError(
            f'ParallelSPPE: the sample of {sample.get("img_path")} has no '
            'centre-located target: put GenerateCenterTarget between '
            'GenerateTarget and PackPoseInputs, or set parallel=None'
        )
    center.gt_instance_labels = labels
    if fields.keys():
        center.gt_fields = fields
    return center
