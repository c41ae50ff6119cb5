"""ParallelSPPE: RMPE's symmetric transformer around a top-down model."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch.nn.functional as F
from mmpose.models.pose_estimators import TopdownPoseEstimator
from mmpose.registry import MODELS
from mmpose.utils.typing import (
    ConfigType,
    OptConfigType,
    OptMultiConfig,
    OptSampleList,
    SampleList,
)
from torch import Tensor

from .parallel_branch import ParallelBranch, check_preprocessing, check_sppe
from .sdtn import (
    CropFrame,
    check_sdtn_mode,
    forward_in_crop,
    keypoint_head,
    predict_in_crop,
    sdtn_on_forward,
)
from .spatial_transformer import warp
from .sstn_head import SSTNHead, check_transform
from .theta import mirror_theta

BRANCH = 'parallel_sppe'


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
    trained (no gradients, evaluation mode, statistics still) and none of the
    model's modules (:class:`ParallelBranch`), but part of training
    checkpoints, so that training resumes with the same twin.
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
        check_sppe(sppe, 'sppe')
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
        if isinstance(keypoint_head(self.head), SSTNHead):
            raise ValueError(
                'sppe: its head is an SSTNHead, whose transformer would be a '
                'second one: give the SPPE the head that is within it'
            )
        check_transform(self.head, self.sstn.transform)
        self.localizer_size = localizer_size
        self.frame = CropFrame.of_decoder(keypoint_head(self.head).decoder)
        check_preprocessing(
            (parallel or {}).get('sppe'), sppe.get('data_preprocessor')
        )
        self.parallel = _make_branch(parallel)
        self._register_state_dict_hook(_add_branch)
        self._register_load_state_dict_pre_hook(self._take_parallel)
        if localizer_from_backbone:
            self._register_load_state_dict_pre_hook(self._start_localizer)

    @property
    def with_parallel(self) -> bool:
        """Whether the parallel branch has been made."""
        return self.parallel is not None and self.parallel.module is not None

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
        if self.parallel is not None and not self.with_parallel:
            self.parallel.make(self, inputs.device)
        theta = self.sstn.guard(self.regress_theta(inputs))
        warped = self.stn(inputs, theta)
        feats = self.extract_feat(warped)
        with sdtn_on_forward(self.head, [theta], self.frame):
            losses = self.head.loss(
                feats, data_samples, train_cfg=self.train_cfg
            )
        if self.with_parallel:
            losses.update(self.parallel.loss(warped, data_samples))
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

    def _apply(self, fn: Callable, recurse: bool = True) -> 'ParallelSPPE':
        """Move or cast the model, and the twin with it."""
        if self.with_parallel:
            self.parallel.module._apply(fn, recurse)
        return super()._apply(fn, recurse)

    def _take_parallel(self, state_dict, prefix, *args) -> None:
        """Give the branch its weights of a training checkpoint."""
        prefix = f'{prefix}{BRANCH}.'
        state = {
            key[len(prefix) :]: state_dict.pop(key)
            for key in list(state_dict)
            if key.startswith(prefix)
        }
        if self.parallel is not None:
            self.parallel.load(state)

    def _start_localizer(self, state_dict, prefix, *args) -> None:
        """Give the localiser the weights of a plain model's backbone."""
        target, source = f'{prefix}localizer.', f'{prefix}backbone.'
        if any(key.startswith(target) for key in state_dict):
            return
        for key in list(state_dict):
            if key.startswith(source):
                state_dict[target + key[len(source) :]] = state_dict[key]


def _make_branch(parallel: OptConfigType) -> ParallelBranch | None:
    """The parallel branch of a config, with its keys checked."""
    if parallel is None:
        return None
    known = {'sppe', 'checkpoint', 'loss_weight'}
    unknown = sorted(set(parallel) - known)
    if unknown:
        raise ValueError(
            f'parallel: unknown keys {unknown}; expected {sorted(known)}'
        )
    return ParallelBranch(**parallel)


def _add_branch(model: ParallelSPPE, state_dict: dict, prefix: str, _) -> None:
    """Put the twin's weights into a checkpoint of the training."""
    if model.with_parallel:
        state_dict.update(
            model.parallel.module.state_dict(prefix=f'{prefix}{BRANCH}.')
        )
