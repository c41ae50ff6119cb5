"""SSTNHead: regresses the transform of RMPE's symmetric transformer."""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from mmpose.models.heads.base_head import BaseHead
from mmpose.registry import MODELS
from mmpose.utils.typing import (
    ConfigType,
    Features,
    OptConfigType,
    OptSampleList,
    Predictions,
    SampleList,
)
from torch import Tensor, nn

from .sdtn import (
    CropFrame,
    check_sdtn_mode,
    forward_in_crop,
    keypoint_head,
    predict_in_crop,
    sdtn_on_forward,
)
from .spatial_transformer import warp
from .theta import guard_theta, identity_params, mirror_theta, params_to_theta


@MODELS.register_module()
class SSTNHead(BaseHead):
    """Symmetric spatial transformer head, `RMPE`_ by Fang et al (2017).

    Regresses theta from features: pooling, an optional hidden layer, and a
    linear layer whose weights begin at zero and whose bias is the identity.
    It is used in two ways:

    - **image level**, as ``sstn=`` of :class:`ParallelSPPE`, which warps the
      crop by theta; then the head has no inner ``head``;
    - **feature level**, in the place of the ``head`` of any top-down config,
      with the config's own head as ``head=``: the STN warps the backbone's
      feature maps, the inner head predicts from them, and the SDTN brings
      its outputs back.

    Convention:
        theta maps target (the STN's frame) to source (the crop), acts on
        ``(x, y, 1)``, in normalised units with ``align_corners=True``. A
        theta that cannot be inverted is replaced by the identity, with one
        warning.

    Note:
        - batch size: B
        - image size: [w, h]
        - heatmap size: [W, H]

    Args:
        in_channels (int): Channels of the last feature map.
        transform (str): Parameterisation of theta: ``'affine'`` (6
            parameters), ``'similarity'`` (4: scale and rotation in pixels,
            shift) or ``'scale_shift'`` (3: one scale, shift; crops of the
            same aspect ratio and rotation differ by no more). SimCC heads
            need ``'scale_shift'``. Defaults to ``'affine'``.
        pool_size (tuple[int, int]): Cells ``(W, H)`` that the features are
            pooled to. (1, 1) is global; more cells tell where a person is,
            which a shallow network cannot otherwise. Defaults to (1, 1).
        hidden_channels (int, optional): Width of a hidden layer with ReLU.
            None means no such layer. Defaults to None.
        min_det (float): Smallest determinant of theta, in absolute value,
            that counts as invertible. Defaults to 1e-4.
        neck (dict, optional): Config of a neck between STN and inner head,
            for heads whose neck pools the space away. Defaults to None.
        head (dict, optional): Config of the inner head. None at the image
            level. Defaults to None.
        theta_loss (dict, optional): Config of a loss on theta itself, for
            example ``dict(type='ThetaCornerLoss')``, whose target is the
            transform that the clean box asks for
            (:class:`GenerateCenterTarget`). It is not in the paper, which
            has theta learnt from the pose alone. Defaults to None.
        init_cfg (dict, optional): Initialisation of layers other than the
            last. Defaults to None.

    .. _`RMPE`: https://arxiv.org/abs/1612.00137
    """

    def __init__(
        self,
        in_channels: int,
        transform: str = 'affine',
        pool_size: tuple[int, int] = (1, 1),
        hidden_channels: int | None = None,
        min_det: float = 1e-4,
        neck: OptConfigType = None,
        head: OptConfigType = None,
        theta_loss: OptConfigType = None,
        init_cfg: OptConfigType = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels = in_channels
        self.transform = transform
        self.pool_size = tuple(pool_size)
        self.min_det = min_det
        self._warned = False
        self.register_buffer(
            'identity', identity_params(transform), persistent=False
        )
        channels = in_channels * self.pool_size[0] * self.pool_size[1]
        if hidden_channels is None:
            self.theta_hidden = nn.Identity()
        else:
            self.theta_hidden = nn.Sequential(
                nn.Linear(channels, hidden_channels), nn.ReLU(inplace=True)
            )
            channels = hidden_channels
        self.theta_fc = nn.Linear(channels, self.identity.numel())
        self._init_identity()
        self.neck = None if neck is None else MODELS.build(neck)
        self.head = None if head is None else MODELS.build(head)
        self.theta_loss = None
        if theta_loss is not None:
            self.theta_loss = MODELS.build(theta_loss)
        if self.head is not None:
            self.frame = CropFrame.of_decoder(self.decoder)
            check_transform(self.head, transform)
            self._register_load_state_dict_pre_hook(self._load_plain_head)

    @property
    def decoder(self) -> Any:
        """The inner head's codec, None without an inner head."""
        return getattr(keypoint_head(self.head), 'decoder', None)

    def init_weights(self) -> None:
        """Initialise the layers; theta begins at the identity."""
        super().init_weights()
        self._init_identity()

    def _init_identity(self) -> None:
        """Let the last layer yield the identity whatever the features."""
        nn.init.zeros_(self.theta_fc.weight)
        with torch.no_grad():
            self.theta_fc.bias.copy_(self.identity)

    def regress_theta(self, feats: Any, size: tuple[int, int]) -> Tensor:
        """Regress theta from features.

        Args:
            feats (Any): Feature maps; the last ``(B, C, H, W)`` is used.
            size (tuple[int, int]): Size ``(w, h)`` of the crop.

        Returns:
            Tensor: theta ``(B, 2, 3)`` in float32, as regressed: pass it
            through :meth:`guard` before use.
        """
        x = _last_map(feats)
        width, height = self.pool_size
        x = nn.functional.adaptive_avg_pool2d(x, (height, width)).flatten(1)
        x = self.theta_hidden(x)
        with torch.autocast(x.device.type, enabled=False):
            params = self.theta_fc(x.to(self.theta_fc.weight.dtype))
        return params_to_theta(params, self.transform, size)

    def guard(self, theta: Tensor, warn: bool = True) -> Tensor:
        """Replace degenerate transforms by the identity.

        Args:
            theta (Tensor): Transforms ``(B, 2, 3)``.
            warn (bool): Whether to warn, once in this head's life. Looking
                costs a synchronisation until it has. Defaults to True.

        Returns:
            Tensor: Invertible transforms ``(B, 2, 3)``.
        """
        theta, valid = guard_theta(theta, self.min_det)
        if warn and not self._warned and not bool(valid.all()):
            self._warned = True
            warnings.warn(
                'SSTNHead regressed a theta that is not finite or cannot be '
                f'inverted (|det| < {self.min_det}); the identity is used '
                'instead. Lower the learning rate of the localiser and of '
                'the SSTN if this happens in training.'
            )
        return theta

    def loss_by_theta(
        self, theta: Tensor, data_samples: SampleList
    ) -> dict[str, Tensor]:
        """Return the loss on theta itself, if there is one.

        Args:
            theta (Tensor): Transforms ``(B, 2, 3)``.
            data_samples (list[PoseDataSample]): Their data samples, with
                ``center_theta`` ``(1, 2, 3)``, or that for each of several
                levels, in ``gt_instance_labels``.

        Returns:
            dict: ``loss_theta``; empty without ``theta_loss``.

        Raises:
            KeyError: If a sample has no ``center_theta``.
        """
        if self.theta_loss is None:
            return {}
        targets = []
        for sample in data_samples:
            labels = sample.gt_instance_labels
            if 'center_theta' not in labels:
                raise KeyError(
                    'SSTNHead: theta_loss needs center_theta, which the '
                    f'sample of {sample.get("img_path")} has not: put '
                    'GenerateCenterTarget between GenerateTarget and '
                    'PackPoseInputs'
                )
            targets.append(labels.center_theta[:1])
        target = torch.cat(targets).to(theta)
        return dict(loss_theta=self.theta_loss(theta, target))

    def test_theta(
        self, regress: Callable[[Any], Tensor], inputs: Any, flipped: Any
    ) -> Tensor:
        """Regress theta for a test, with or without a flip test.

        In a flip test the localiser runs on the flipped crop too and both
        answers are averaged in the crop's frame; the flipped crop is warped
        by the mirrored transform. A prediction for a mirrored crop is then
        the mirrored prediction, exactly, with every kind of head.

        Args:
            regress (Callable): Function from inputs to theta ``(B, 2, 3)``.
            inputs (Any): The crop, or its features.
            flipped (Any): The flipped crop, or its features; None without
                a flip test.

        Returns:
            Tensor: Invertible transforms ``(B, 2, 3)`` of the crop.
        """
        theta = self.guard(regress(inputs))
        if flipped is not None:
            mirrored = mirror_theta(self.guard(regress(flipped)))
            theta = self.guard((theta + mirrored) / 2)
        return theta

    def _stn(self, feats: Any, theta: Tensor) -> Any:
        """Warp nested feature maps and pass them through the neck."""
        feats = _map_features(
            lambda x: warp(x, self._feature_frame.theta_on(theta, x)), feats
        )
        return feats if self.neck is None else self.neck(feats)

    @property
    def _feature_frame(self) -> CropFrame:
        """Feature maps have cells at ``u * stride`` whatever the codec."""
        return CropFrame(self.frame.size)

    def _regress(self, feats: Any) -> Tensor:
        return self.regress_theta(feats, self.frame.size)

    def forward(self, feats: Any) -> Any:
        """Return the inner head's outputs in the crop's frame.

        Args:
            feats (Any): Feature maps.

        Returns:
            Any: Outputs of the inner head after the SDTN.

        Raises:
            RuntimeError: If there is no inner head.
        """
        self._check_head()
        theta = self.guard(self._regress(feats), warn=False)
        feats = self._stn(feats, theta)
        return forward_in_crop(self.head, feats, theta, self.frame)

    def loss(
        self,
        feats: Any,
        batch_data_samples: OptSampleList,
        train_cfg: OptConfigType = None,
    ) -> dict:
        """Return the inner head's losses in the crop's frame.

        Args:
            feats (Any): Feature maps.
            batch_data_samples (list[PoseDataSample]): The data samples.
            train_cfg (dict, optional): Passed on. Defaults to None.

        Returns:
            dict: The losses; with ``theta_loss`` also ``loss_theta``.
        """
        self._check_head()
        theta = self.guard(self._regress(feats))
        feats = self._stn(feats, theta)
        with sdtn_on_forward(self.head, [theta], self.frame):
            losses = self.head.loss(
                feats, batch_data_samples, train_cfg=train_cfg or {}
            )
        return {**losses, **self.loss_by_theta(theta, batch_data_samples)}

    def predict(
        self,
        feats: Features,
        batch_data_samples: OptSampleList,
        test_cfg: ConfigType | None = None,
    ) -> Predictions:
        """Predict keypoints in the crop's frame.

        Args:
            feats (Any): Feature maps, or the pair of them in a flip test.
            batch_data_samples (list[PoseDataSample]): The data samples.
            test_cfg (dict, optional): Passed on; ``sdtn`` is
                ``'coordinates'`` or ``'heatmaps'``. Defaults to None.

        Returns:
            Predictions: What the inner head returns.
        """
        self._check_head()
        test_cfg = test_cfg or {}
        check_sdtn_mode(test_cfg)
        if test_cfg.get('flip_test', False):
            theta = self.test_theta(self._regress, *feats)
            feats = [
                self._stn(feats[0], theta),
                self._stn(feats[1], mirror_theta(theta)),
            ]
        else:
            theta = self.test_theta(self._regress, feats, None)
            feats = self._stn(feats, theta)
        return predict_in_crop(
            self.head, feats, batch_data_samples, test_cfg, theta, self.frame
        )

    def _check_head(self) -> None:
        if self.head is None:
            raise RuntimeError(
                'this SSTNHead has no inner head: at the feature level give '
                'it `head=dict(...)`; at the image level use it as `sstn=` '
                'of ParallelSPPE'
            )

    def _load_plain_head(self, state_dict, prefix, *args) -> None:
        """Take the weights of a plain model, whose head has no wrapper."""
        if any(key.startswith(prefix + 'head.') for key in state_dict):
            return
        for name in self.head.state_dict():
            if prefix + name in state_dict:
                value = state_dict.pop(prefix + name)
                state_dict[f'{prefix}head.{name}'] = value


def check_transform(head: nn.Module, transform: str) -> None:
    """Check that the SDTN of a transform is exact for a head's outputs.

    Args:
        head (nn.Module): The head.
        transform (str): The parameterisation of theta.

    Raises:
        ValueError: If a SimCC head is given a transform that mixes axes.
    """
    head = keypoint_head(head)
    if transform != 'scale_shift' and hasattr(head, 'simcc_split_ratio'):
        raise ValueError(
            f'{type(head).__name__} predicts one distribution per axis, which '
            f'the SDTN of transform={transform!r} would mix: give SSTNHead '
            "transform='scale_shift'"
        )


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


def _map_features(function: Callable[[Tensor], Tensor], feats: Any) -> Any:
    """Apply a function to every map of nested tuples and lists."""
    if isinstance(feats, (tuple, list)):
        return type(feats)(_map_features(function, x) for x in feats)
    return function(_last_map(feats))
