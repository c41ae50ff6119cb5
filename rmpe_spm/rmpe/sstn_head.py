"""SSTNHead: regresses the transform of RMPE's symmetric transformer."""

import warnings
from typing import Any

import torch
from mmpose.models.heads.base_head import BaseHead
from mmpose.registry import MODELS
from mmpose.utils.typing import Predictions, SampleList
from torch import Tensor, nn

from ..tensors import without_autocast
from . import heads
from .sdtn import CropFrame
from .spatial_transformer import warp
from .theta import (
    MIN_DET,
    bound_theta,
    draw_to_identity,
    guard_theta,
    identity_params,
    mirror_theta,
    params_to_theta,
)


@MODELS.register_module()
class SSTNHead(BaseHead):
    """Symmetric spatial transformer head, `RMPE`_ by Fang et al (2017).

    Regresses theta from features by pooling and a linear layer whose weights
    begin at zero and whose bias is the identity. It is used in two ways:

    - **image level**, as ``sstn=`` of :class:`ParallelSPPE`, which warps the
      crop by theta; then the head has no inner ``head``;
    - **feature level**, in the place of the ``head`` of any top-down config,
      with the config's own head as ``head=``: the STN warps the backbone's
      feature maps, the inner head predicts from them, and the SDTN brings
      its outputs back. A plain model's checkpoint loads as it is.

    theta maps target (the STN's frame) to source (the crop), acts on
    ``(x, y, 1)``, in normalised units with ``align_corners=True``
    (:mod:`.theta`). One that cannot be inverted is replaced by the identity,
    with one warning.

    Args:
        in_channels (int, optional): Channels of the last feature map. None
            where the localizer itself gives theta, as a scale and a shift
            (:class:`PoseLocalizer`, :class:`SecondLook`).
        transform (str): Parameterisation of theta: ``'affine'`` (6
            parameters), ``'similarity'`` (4: scale and rotation in pixels,
            shift) or ``'scale_shift'`` (3: one scale, shift; crops of the
            same aspect ratio and rotation differ by no more). SimCC heads
            need ``'scale_shift'``. Defaults to ``'affine'``.
        pool_size (tuple[int, int]): Cells ``(W, H)`` that the features are
            pooled to. (1, 1) is global; more cells tell where a person is,
            which a shallow network cannot otherwise. Defaults to (1, 1).
        neck (dict, optional): Config of a neck between STN and inner head,
            for heads whose neck pools the space away. Defaults to None.
        head (dict, optional): Config of the inner head. None at the image
            level. Defaults to None.
        theta_loss (dict, optional): Config of a loss on theta itself, for
            example ``dict(type='ThetaCornerLoss')``, whose target is the
            transform that the clean box asks for
            (:class:`GenerateCenterTarget`). It is not in the paper, which
            has theta learnt from the pose alone. Defaults to None.
        bounds (tuple[float, float], optional): The largest scale of theta,
            whose inverse is the smallest, and the largest shift, in units of
            half the crop (:func:`.bound_theta`). A squared error of heatmaps
            falls when the person is hidden, so an unbounded theta may run
            away. None means no bounds, as in the paper. Defaults to (2.0,
            1.0).
        detach_theta (bool): Whether the main loss leaves theta alone, which
            then learns by the centre loss and ``theta_loss``. Defaults to
            False, as in the paper.
        dead_zone (float): At test corrections that are small against it are
            drawn to the identity (:func:`.draw_to_identity`), so that good
            boxes lose nothing; for ``'scale_shift'``. Defaults to 0.0, none.

    Example:
        >>> model = dict(  # of any top-down config
        ...     head=dict(type='SSTNHead', in_channels=32, head={...}),
        ... )

    .. _`RMPE`: https://arxiv.org/abs/1612.00137
    """

    def __init__(
        self,
        in_channels: int | None,
        transform: str = 'affine',
        pool_size: tuple[int, int] = (1, 1),
        *,
        neck: dict | None = None,
        head: dict | None = None,
        theta_loss: dict | None = None,
        bounds: tuple[float, float] | None = (2.0, 1.0),
        detach_theta: bool = False,
        dead_zone: float = 0.0,
    ) -> None:
        super().__init__()
        if dead_zone and transform != 'scale_shift':
            raise ValueError(
                f'SSTNHead: dead_zone={dead_zone} needs '
                f"transform='scale_shift', not {transform!r}"
            )
        self.dead_zone = dead_zone
        self.bounds = bounds
        self.detach_theta = detach_theta
        self.in_channels = in_channels
        self.transform = transform
        self.pool_size = tuple(pool_size)
        self._warned = False
        self._last_seen: Tensor | None = None
        num_params = identity_params(transform).numel()
        if in_channels is not None:
            channels = in_channels * self.pool_size[0] * self.pool_size[1]
            self.theta_fc = nn.Linear(channels, num_params)
            self._init_identity()
        self.neck, self.head, self.theta_loss = (
            None if config is None else MODELS.build(config)
            for config in (neck, head, theta_loss)
        )
        if self.head is not None:
            self.frame = CropFrame.of_decoder(self.decoder)
            heads.check_transform(self.head, transform)
            self._register_load_state_dict_pre_hook(self._load_plain_head)

    @property
    def decoder(self) -> Any:
        """The inner head's codec, None without an inner head."""
        return getattr(heads.keypoint_head(self.head), 'decoder', None)

    def init_weights(self) -> None:
        """Initialise the layers; theta begins at the identity."""
        super().init_weights()
        if self.in_channels is not None:
            self._init_identity()

    def _init_identity(self) -> None:
        nn.init.zeros_(self.theta_fc.weight)
        with torch.no_grad():
            self.theta_fc.bias.copy_(identity_params(self.transform))

    def regress_theta(self, feats: Any, size: tuple[int, int]) -> Tensor:
        """Regress theta ``(B, 2, 3)``, in float32, from features.

        Of nested ``feats`` the last map ``(B, C, H, W)`` is used; ``size`` is
        the crop's ``(w, h)`` in pixels. :meth:`guard` theta before use.
        """
        width, height = self.pool_size
        x = _last_map(feats)
        x = nn.functional.adaptive_avg_pool2d(x, (height, width)).flatten(1)
        with without_autocast(x):
            params = self.theta_fc(x.to(self.theta_fc.weight.dtype))
        return params_to_theta(params, self.transform, size)

    def guard(self, theta: Tensor, warn: bool = True) -> Tensor:
        """Bound transforms ``(B, 2, 3)``; the identity where degenerate.

        At test small ones are drawn to the identity. With ``warn`` it warns
        once in this head's life: in training at the next call, so that no
        step waits for the device.
        """
        return self._still(self._bound(theta, warn))

    def _still(self, theta: Tensor) -> Tensor:
        if self.training or not self.dead_zone:
            return theta
        return draw_to_identity(theta, self.dead_zone)

    def _bound(self, theta: Tensor, warn: bool = True) -> Tensor:
        theta, valid = guard_theta(theta)
        seen = None
        if warn and not self._warned:
            seen = valid.all()
            if self.training:
                seen, self._last_seen = self._last_seen, seen
        if seen is not None and not seen:
            self._warned = True
            warnings.warn(
                'SSTNHead regressed a theta that is not finite or cannot be '
                f'inverted (|det| < {MIN_DET}), and takes the identity. In '
                'training, lower the rates of the localizer and the SSTN.'
            )
        return (
            theta if self.bounds is None else bound_theta(theta, *self.bounds)
        )

    def main_theta(self, theta: Tensor) -> Tensor:
        """Return theta as the main loss sees it: also its gradient or not."""
        return theta.detach() if self.detach_theta else theta

    def loss_by_theta(
        self, theta: Tensor, data_samples: SampleList
    ) -> dict[str, Tensor]:
        """Return ``loss_theta`` of transforms ``(B, 2, 3)``, if there is one.

        Raises:
            KeyError: If there is one, and a sample has no ``center_theta``.
        """
        if self.theta_loss is None:
            return {}
        targets = []
        for sample in data_samples:
            labels = sample.gt_instance_labels
            if 'center_theta' not in labels:
                raise KeyError(
                    f'SSTNHead: the sample of {sample.get("img_path")} has '
                    'no center_theta, which theta_loss needs: put '
                    'GenerateCenterTarget between GenerateTarget and '
                    'PackPoseInputs'
                )
            targets.append(labels.center_theta[:1])
        target = torch.cat(targets).to(theta)
        return dict(loss_theta=self.theta_loss(theta, target))

    def test_theta(
        self, theta: Tensor, flipped: Tensor | None = None
    ) -> Tensor:
        """Return the invertible theta ``(B, 2, 3)`` of a test.

        In a flip test what was regressed from the crop and from the flipped
        crop is averaged in the crop's frame, and the flipped crop is warped by
        the mirrored transform: the prediction for a mirrored crop is then the
        mirrored prediction, exactly, with every kind of head.
        """
        theta = self._bound(theta)
        if flipped is not None:
            mirrored = mirror_theta(self._bound(flipped))
            theta = self._bound((theta + mirrored) / 2)
        return self._still(theta)

    def _stn(self, feats: Any, theta: Tensor) -> Any:
        """Warp nested feature maps and pass them through the neck."""
        # Feature maps have cells at ``u * stride`` whatever the codec.
        frame = CropFrame(self.frame.size)

        def warped(feats: Any) -> Any:
            if isinstance(feats, (tuple, list)):
                return type(feats)(warped(x) for x in feats)
            maps = _last_map(feats)
            return warp(maps, frame.theta_on(theta, maps))

        feats = warped(feats)
        return feats if self.neck is None else self.neck(feats)

    def _regress(self, feats: Any) -> Tensor:
        if self.head is None:
            raise RuntimeError(
                'this SSTNHead has no inner head: at the feature level give '
                'it `head=dict(...)`; at the image level use it as `sstn=` '
                'of ParallelSPPE'
            )
        return self.regress_theta(feats, self.frame.size)

    def forward(self, feats: Any) -> Any:
        """Return the inner head's outputs for feature maps, after the SDTN."""
        theta = self.guard(self._regress(feats), warn=False)
        feats = self._stn(feats, theta)
        return heads.forward_in_crop(self.head, feats, theta, self.frame)

    def loss(
        self,
        feats: Any,
        batch_data_samples: SampleList,
        train_cfg: dict | None = None,
    ) -> dict:
        """Return the inner head's losses in the crop's frame, and on theta."""
        theta = self.guard(self._regress(feats))
        main_theta = self.main_theta(theta)
        outputs = heads.forward_in_crop(
            self.head, self._stn(feats, main_theta), main_theta, self.frame
        )
        losses = heads.head_on_outputs(self.head).loss(
            outputs, batch_data_samples, train_cfg=train_cfg or {}
        )
        return {**losses, **self.loss_by_theta(theta, batch_data_samples)}

    def predict(
        self,
        feats: Any,
        batch_data_samples: SampleList,
        test_cfg: dict | None = None,
    ) -> Predictions:
        """Predict keypoints in the crop's frame as the inner head does.

        ``test_cfg['sdtn']`` is ``'coordinates'`` or ``'heatmaps'``, see
        :class:`ParallelSPPE`.
        """
        test_cfg = test_cfg or {}
        heads.check_sdtn_mode(test_cfg)
        if test_cfg.get('flip_test', False):
            theta = self.test_theta(*map(self._regress, feats))
            thetas = theta, mirror_theta(theta)
            feats = list(map(self._stn, feats, thetas))
        else:
            theta = self.test_theta(self._regress(feats))
            feats = self._stn(feats, theta)
        return heads.predict_in_crop(
            self.head, feats, batch_data_samples, test_cfg, theta, self.frame
        )

    def _load_plain_head(self, state_dict, prefix, *args) -> None:
        """Take the weights of a plain model, whose head has no wrapper."""
        if any(key.startswith(prefix + 'head.') for key in state_dict):
            return
        for name in self.head.state_dict().keys() & {
            key.removeprefix(prefix) for key in state_dict
        }:
            state_dict[f'{prefix}head.{name}'] = state_dict.pop(prefix + name)


def _last_map(feats: Any) -> Tensor:
    """Return the last feature map of nested tuples and lists."""
    while isinstance(feats, (tuple, list)):
        feats = feats[-1]
    if feats.dim() != 4:
        raise ValueError(
            'SSTNHead needs feature maps (B, C, H, W), got '
            f'{tuple(feats.shape)}: a neck that pools the space away belongs '
            'into `SSTNHead(neck=...)`'
        )
    return feats
