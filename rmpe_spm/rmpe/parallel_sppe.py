"""ParallelSPPE: RMPE's symmetric transformer around a top-down model."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from mmpose.models.pose_estimators import TopdownPoseEstimator
from mmpose.registry import MODELS
from mmpose.utils.typing import OptSampleList, SampleList
from torch import Tensor, nn

from . import heads
from .localizers import PoseLocalizer, SecondLook, evaluating
from .parallel_branch import ParallelBranch, check_sppe
from .sdtn import CropFrame
from .spatial_transformer import warp
from .sstn_head import SSTNHead
from .theta import mirror_theta
from .transforms import context_size

BRANCH = 'parallel_sppe'


@MODELS.register_module()
class ParallelSPPE(TopdownPoseEstimator):
    r"""Regional pose estimation, `RMPE`_ by Fang et al (2017).

    Makes any top-down model robust to bad boxes. A localizer regresses a
    transform theta from the crop; the STN warps the crop by it, the
    single-person pose estimator (SPPE) predicts in the warped crop, and the
    SDTN brings the prediction back to the crop's frame, where the main loss
    is taken. In training a frozen twin of the SPPE looks at the same warped
    crop without an SDTN and is supervised by the pose in the frame of the
    clean box (:class:`GenerateCenterTarget`), so that its error can only be
    lowered by a theta that centres the person:

    .. math::
        L = \ell(\mathrm{SDTN}_{\theta^{-1}}(f(I_\theta)), y_{crop})
        + w\, \ell_c(\theta^{-1} \bar\theta\, \bar{f}(I_\theta), y_{clean}),
        \quad I_\theta(x) = I(\theta x)

    A bar is on what gives no gradient: what the twin sees moves with theta,
    how it sees does not. ``parallel=dict(center_loss='paper')`` has the
    paper's :math:`\ell(\bar{f}(I_\theta), y_{clean})`, whose gradient goes
    through the twin and the pixels.

    The SPPE's ``backbone``, ``neck`` and ``head`` keep their names, so the
    checkpoint of a plain model loads as it is, and parameter-wise optimizer
    settings keep working.

    The parallel branch lives in training only. It is made at the first
    training step, when the pretrained weights have been loaded; it is never
    trained (no gradients, evaluation mode, statistics still) and none of the
    model's modules (:class:`ParallelBranch`), but part of training
    checkpoints, so that training resumes with the same twin
    (``tools/publish_weights.py`` writes them without it).

    Args:
        sppe (dict): Config of a :class:`TopdownPoseEstimator`. Its
            ``test_cfg``, ``train_cfg`` and ``data_preprocessor`` are used.
        localizer (dict): Config of the localizer's backbone, from whose last
            map ``sstn`` regresses theta, as in the paper; a
            :class:`PoseLocalizer`; or a :class:`SecondLook`.
        sstn (dict): Config of an :class:`SSTNHead` without inner head, and
            with ``in_channels=None`` for a localizer that gives theta itself.
        localizer_size (tuple[int, int], optional): Size ``(w, h)`` of the
            reduced crop that the localizer sees. None means the crop
            itself. Defaults to None.
        localizer_from_backbone (bool): Whether the localizer, of the same
            architecture as the backbone, starts from the backbone's weights
            where a checkpoint without localizer is loaded (that of a plain
            model); a :class:`PoseLocalizer` from those of the whole SPPE.
            Defaults to False.
        context (float): Size of the pipeline's crops over the SPPE's input,
            that of :class:`TopdownContextAffine`. The localizer sees all of
            the crop, at ``localizer_size``, and the STN takes the SPPE's
            input out of it; theta is in units of that input, and the identity
            takes the crop that the plain model sees. Defaults to 1.0, no
            context.
        freeze_sppe (bool): Whether only localizer and SSTN are trained: the
            SPPE gets no gradient and stays in evaluation mode, and where
            theta gets no gradient of the main loss either
            (``SSTNHead(detach_theta=True)``), that is not computed. Defaults
            to False.
        parallel (dict, optional): Arguments of :class:`.ParallelBranch`, all
            optional: ``sppe``, config of another top-down model (by default
            a copy of the main one, weights included), ``checkpoint``, its
            weights, ``loss_weight``, by default 1, and ``center_loss``. None
            means no branch. Defaults to None.
        train_cfg (dict, optional): Added to the SPPE's. Defaults to None.
        test_cfg (dict, optional): Added to the SPPE's. Its key ``sdtn`` is
            ``'coordinates'`` (theta applied to decoded keypoints, exact) or
            ``'heatmaps'`` (the paper's). Defaults to None.
        **overrides: Other settings of a :class:`TopdownPoseEstimator`, in
            the place of the SPPE's.

    Example:
        >>> sstn = dict(type='SSTNHead', in_channels=96, pool_size=(6, 8))
        >>> model = dict(
        ...     type='ParallelSPPE',
        ...     sppe={...},  # the `model` of any top-down config
        ...     localizer=dict(type='MobileNetV2', out_indices=(4,)),
        ...     localizer_size=(96, 128),
        ...     sstn=dict(**sstn, transform='scale_shift'),
        ...     parallel=dict(),
        ... )

    mmpose's ``init_model`` looks for ``model.backbone`` in the config unless
    it is given options: ``init_model(config, checkpoint, cfg_options={})``.

    .. _`RMPE`: https://arxiv.org/abs/1612.00137
    """

    def __init__(
        self,
        sppe: dict,
        localizer: dict,
        sstn: dict,
        *,
        localizer_size: tuple[int, int] | None = None,
        localizer_from_backbone: bool = False,
        context: float = 1.0,
        freeze_sppe: bool = False,
        parallel: dict | None = None,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        **overrides: Any,
    ) -> None:
        check_sppe(sppe, 'sppe')
        sppe = {**deepcopy(sppe), **overrides}
        for key in ('type', '_scope_'):
            sppe.pop(key, None)
        for name, cfg in (('train_cfg', train_cfg), ('test_cfg', test_cfg)):
            sppe[name] = {**(sppe.get(name) or {}), **(cfg or {})}
        heads.check_sdtn_mode(sppe['test_cfg'])
        super().__init__(**sppe)
        self.localizer = MODELS.build(localizer)
        self.sstn = MODELS.build(sstn)
        head = heads.keypoint_head(self.head)
        if self.sstn.head is not None or isinstance(head, SSTNHead):
            raise ValueError(
                'at the image level there is one transformer: sstn takes no '
                'inner `head`, and the head of sppe is no SSTNHead'
            )
        heads.check_transform(head, self.sstn.transform)
        by_joints = isinstance(self.localizer, (PoseLocalizer, SecondLook))
        if by_joints != (self.sstn.in_channels is None):
            raise ValueError(
                f'sstn.in_channels={self.sstn.in_channels}, but the localizer '
                f'{localizer["type"]} '
                + (
                    'gives theta itself: set it to None'
                    if by_joints
                    else 'gives features: set it to their channels'
                )
            )
        self.localizer_size = localizer_size
        self.freeze_sppe = freeze_sppe
        if freeze_sppe:
            for part in self.sppe_parts.values():
                part.requires_grad_(False)
        self.frame = CropFrame.of_decoder(head.decoder)
        self.context = context
        self.crop_size = context_size(self.frame.size, context)
        self.parallel = None
        if parallel is not None:
            self.parallel = ParallelBranch(**parallel)
        self._register_state_dict_hook(_add_branch)
        self.has_loaded_head = False
        self._register_load_state_dict_pre_hook(self._take_parallel)
        if localizer_from_backbone:
            self._register_load_state_dict_pre_hook(self._start_localizer)

    @property
    def with_parallel(self) -> bool:
        """Whether the parallel branch has been made."""
        return self.parallel is not None and self.parallel.module is not None

    @property
    def is_own_twin(self) -> bool:
        """Whether the frozen SPPE is the parallel branch's, too."""
        branch = self.parallel
        return self.freeze_sppe and not (branch.sppe or branch.checkpoint)

    @property
    def sppe_parts(self) -> dict[str, nn.Module]:
        """The SPPE's own modules by their names."""
        names = ('backbone', 'neck', 'head')
        return {n: self._modules[n] for n in names if n in self._modules}

    def train(self, mode: bool = True) -> 'ParallelSPPE':
        """Set the mode, but for a frozen SPPE."""
        super().train(mode)
        if self.freeze_sppe:
            for part in self.sppe_parts.values():
                part.eval()
        return self

    def regress_theta(self, inputs: Tensor) -> Tensor:
        """Regress theta ``(B, 2, 3)``, unguarded, from crops."""
        self._check_crops(inputs)
        reduced = inputs
        if self.localizer_size is not None:
            width, height = self.localizer_size
            reduced = F.adaptive_avg_pool2d(inputs, (height, width))
        if isinstance(self.localizer, SecondLook):
            with evaluating(self.sppe_parts.values()):
                outputs = heads.keypoint_head(self.head).forward(
                    self.extract_feat(reduced)
                )
            size = (reduced.shape[-1], reduced.shape[-2])
            seen = replace(self.frame, size=size)
        elif isinstance(self.localizer, PoseLocalizer):
            outputs, seen = self.localizer(reduced, self.data_preprocessor)
        else:
            feats = self.localizer(reduced)
            return self.sstn.regress_theta(feats, self.frame.size)
        return self.localizer.theta(outputs, seen, self.frame, self.crop_size)

    @torch.compiler.disable
    def _check_crops(self, inputs: Tensor, data_samples: Any = None) -> None:
        """Refuse crops of a pipeline that has another context."""
        given = (inputs.shape[-1], inputs.shape[-2])
        sizes = {
            tuple(sample.get('input_size', self.frame.size))
            for sample in data_samples or ()
        }
        if given != self.crop_size or not sizes <= {self.frame.size}:
            (w, h), (inner_w, inner_h) = self.crop_size, self.frame.size
            raise ValueError(
                f'ParallelSPPE(context={self.context}) takes crops of {w}x{h} '
                f'pixels (w x h) around an input of {inner_w}x{inner_h}, but '
                f'the pipeline gives crops of {given[0]}x{given[1]} around '
                f'{sizes or "any"}: give TopdownContextAffine(input_size='
                f'{self.frame.size}, context={self.context}) in training and '
                'test'
            )

    def stn(self, inputs: Tensor, theta: Tensor) -> Tensor:
        """Warp crops ``(B, 3, h, w)``; outside of them all is black.

        The result has the SPPE's size, whatever the crops' context.
        """
        preprocessor, fill = self.data_preprocessor, None
        if getattr(preprocessor, '_enable_normalize', False):
            fill = -(preprocessor.mean / preprocessor.std).flatten()
            fill = fill.expand(inputs.shape[1])
        return warp(inputs, theta, fill, self.frame.size)

    def loss(self, inputs: Tensor, data_samples: SampleList) -> dict:
        """Calculate the losses of crops ``(B, 3, h, w)``.

        The head's; ``loss_center``, which is ``loss_kpt`` of the parallel
        branch, and its other losses alike; ``loss_theta`` where the SSTN has a
        ``theta_loss``.

        Raises:
            KeyError: If a sample lacks a target that
                :class:`GenerateCenterTarget` adds.
        """
        if self.parallel is not None and not self.with_parallel:
            self.parallel.make(self, inputs.device)
        self._check_crops(inputs, data_samples)
        theta = self.sstn.guard(self.regress_theta(inputs))
        main_theta = self.sstn.main_theta(theta)
        losses = {}
        warped = self.stn(inputs, main_theta)
        if not (self.freeze_sppe and self.sstn.detach_theta):
            outputs = heads.forward_in_crop(
                self.head, self.extract_feat(warped), main_theta, self.frame
            )
            losses = heads.head_on_outputs(self.head).loss(
                outputs, data_samples, train_cfg=self.train_cfg
            )
        if self.with_parallel:
            if self.parallel.through_pixels and self.sstn.detach_theta:
                warped = self.stn(inputs, theta)
            losses.update(self.parallel.loss(warped, theta, data_samples))
        losses.update(self.sstn.loss_by_theta(theta, data_samples))
        return losses

    def predict(self, inputs: Tensor, data_samples: SampleList) -> SampleList:
        """Predict keypoints of crops ``(B, 3, h, w)`` in image coordinates."""
        self._check_crops(inputs, data_samples)
        views = [inputs]
        if self.test_cfg.get('flip_test', False):
            views.append(inputs.flip(-1))
        theta = self.sstn.test_theta(*map(self.regress_theta, views))
        thetas = theta, mirror_theta(theta)
        feats = [
            self.extract_feat(self.stn(x, t))
            for x, t in zip(views, thetas, strict=False)
        ]
        preds = heads.predict_in_crop(
            self.head,
            feats if len(views) == 2 else feats[0],
            data_samples,
            self.test_cfg,
            theta,
            self.frame,
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
        return heads.forward_in_crop(self.head, feats, theta, self.frame)

    def _apply(self, fn: Callable, recurse: bool = True) -> 'ParallelSPPE':
        """Move or cast the model, and the twin with it."""
        if self.with_parallel and not self.is_own_twin:
            self.parallel.module._apply(fn, recurse)
        return super()._apply(fn, recurse)

    def _take_parallel(self, state_dict, prefix, *args) -> None:
        """Give the branch its weights of a training checkpoint."""
        root, prefix = prefix, f'{prefix}{BRANCH}.'
        state = {
            key[len(prefix) :]: state_dict.pop(key)
            for key in list(state_dict)
            if key.startswith(prefix)
        }
        if any(key.startswith(f'{root}head.') for key in state_dict):
            self.has_loaded_head = True
        if self.parallel is not None:
            self.parallel.load(state)

    def _start_localizer(self, state_dict, prefix, *args) -> None:
        """Give the localizer the weights of a plain model's parts."""
        target = f'{prefix}localizer.'
        if any(key.startswith(target) for key in state_dict):
            return
        names = {target: f'{prefix}backbone.'}
        if isinstance(self.localizer, PoseLocalizer):
            parts = ('backbone.', 'neck.', 'head.')
            names = {target + part: prefix + part for part in parts}
        for new, old in names.items():
            for key in list(state_dict):
                if key.startswith(old):
                    state_dict[new + key[len(old) :]] = state_dict[key]


def _add_branch(model: ParallelSPPE, state_dict: dict, prefix: str, _) -> None:
    """Put the twin's weights into a checkpoint of the training."""
    if model.with_parallel and not model.is_own_twin:
        state_dict.update(
            model.parallel.module.state_dict(prefix=f'{prefix}{BRANCH}.')
        )
