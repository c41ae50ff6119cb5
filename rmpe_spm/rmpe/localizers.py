"""Localizers that know people: theta in closed form from joints."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from mmengine.model import BaseModule, ImgDataPreprocessor
from mmpose.registry import MODELS
from torch import Tensor, nn

from ..tensors import tensor_on_device_of
from .sdtn import CropFrame, joint_locations
from .theta import draw_to_identity, params_to_theta

# how soft the thresholds of a joint's confidence and of their count are
SOFT_CONFIDENCE, SOFT_COUNT = 0.05, 0.5


def pose_theta(
    xy: Tensor,
    confidence: Tensor,
    *,
    padding: float,
    min_confidence: float,
    min_joints: float,
    dead_zone: float,
) -> Tensor:
    r"""Put a frame around joints: theta in closed form.

    A joint counts by :math:`w = \sigma((c - c_0) / 0.05)`, and lies
    :math:`m + w (x - m)` with :math:`m` the weighted mean, so that one of
    low confidence widens nothing. The frame's centre :math:`t` is the middle
    of what the joints span, its scale :math:`s` ``padding`` times the larger
    side of that. Then both are drawn to the identity by
    :func:`.draw_to_identity` with :math:`g_0 = \sigma((\sum w - n_0) / 0.5)`,
    for few joints say little. All of it is differentiable.

    Joints ``(B, K, 2)`` are in normalised units, :math:`c_0` is
    ``min_confidence``, :math:`n_0` ``min_joints``. Returns ``(B, 2, 3)``, a
    scale within 1/2 and 2 and a shift within 1.
    """
    weights = ((confidence - min_confidence) / SOFT_CONFIDENCE).sigmoid()
    count = weights.sum(-1)
    mean = (weights[..., None] * xy).sum(1) / (count[:, None] + 1e-6)
    moved = mean[:, None] + weights[..., None] * (xy - mean[:, None])
    low, high = moved.amin(1), moved.amax(1)
    shift = ((low + high) / 2).clamp(-1, 1)
    scale = (padding * (high - low).amax(-1) / 2).clamp(0.5, 2)
    theta = torch.stack((scale, *shift.T), -1)
    theta = params_to_theta(theta, 'scale_shift', (1, 1))
    gate = ((count - min_joints) / SOFT_COUNT).sigmoid()
    return draw_to_identity(theta, dead_zone, gate)


class _JointLocalizer(BaseModule):
    """What the localizers by joints share: the way to theta."""

    def __init__(
        self,
        padding: float = 1.7,
        min_confidence: float = 0.2,
        min_joints: float = 12.0,
        dead_zone: float = 0.4,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.settings = dict(
            padding=padding,
            min_confidence=min_confidence,
            min_joints=min_joints,
            dead_zone=dead_zone,
        )

    def theta(
        self, outputs: Any, seen: CropFrame, frame: CropFrame, crop_size: tuple
    ) -> Tensor:
        """Return theta ``(B, 2, 3)`` by a head's outputs of what it saw."""
        pixels, confidence = joint_locations(outputs, seen)
        crop, reduced, inner = (
            tensor_on_device_of(size, pixels)
            for size in (crop_size, seen.size, frame.size)
        )
        # a pixel of the reduced crop is the mean of several
        pixels = (pixels + 0.5) * crop / reduced - 0.5
        xy = frame.normalize(pixels - (crop - inner) / 2)
        return pose_theta(xy, confidence, **self.settings)


@MODELS.register_module()
class PoseLocalizer(_JointLocalizer):
    """A light pose network as the localizer of :class:`ParallelSPPE`.

    It sees the reduced crop; theta frames the joints that it finds
    (:func:`.pose_theta`), so it needs no training, but can be trained by the
    centre loss or by ``theta_loss``. ``SSTNHead(in_channels=None)`` goes with
    it.

    Args:
        backbone (dict): Config of its backbone.
        head (dict): Config of a head that predicts heatmaps or coordinates;
            its ``decoder`` tells how cells and pixels relate.
        neck (dict, optional): Config of its neck. Defaults to None.
        mean, std (sequence, optional): Of the pixels, one each a channel,
            that its weights were trained with, where those of the model's
            ``data_preprocessor`` differ. Defaults to None.
        **settings: ``init_cfg``, and ``padding`` (1.7), ``min_confidence``
            (0.2), ``min_joints`` (12.0) and ``dead_zone`` (0.4) of
            :func:`.pose_theta`.

    Example:
        >>> localizer = dict(
        ...     type='PoseLocalizer',
        ...     backbone=dict(type='TFMobileNetV2', widen_factor=1.0),
        ...     neck=dict(type='MoveNetFPN', in_channels=[24, 32, 64, 1280]),
        ...     head={...},  # a MoveNetHeatmapHead with its codec
        ... )
    """

    def __init__(
        self,
        backbone: dict,
        head: dict,
        neck: dict | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.normalization = None if mean is None else (mean, std)
        self.backbone = MODELS.build(backbone)
        self.neck = MODELS.build(neck) if neck else nn.Identity()
        self.head = MODELS.build(head)

    def forward(
        self, reduced: Tensor, preprocessor: ImgDataPreprocessor
    ) -> tuple[Any, CropFrame]:
        """Return the head's outputs of reduced crops, and their frame.

        The crops are normalised as the model's ``preprocessor`` does it.
        """
        if self.normalization is not None:
            mean, std = (
                tensor_on_device_of(values, reduced).view(3, 1, 1)
                for values in self.normalization
            )
            pixels = reduced * preprocessor.std + preprocessor.mean
            reduced = (pixels - mean) / std
        size = (reduced.shape[-1], reduced.shape[-2])
        frame = replace(CropFrame.of_decoder(self.head.decoder), size=size)
        return self.head(self.neck(self.backbone(reduced))), frame


@MODELS.register_module()
class SecondLook(_JointLocalizer):
    """The SPPE itself as the localizer of :class:`ParallelSPPE`.

    It looks at the reduced crop first, theta frames the joints that it finds
    (:func:`.pose_theta`), and it looks again at what the STN cut out. It has
    no parameters and learns nothing; the SPPE must take crops of
    ``localizer_size``, as fully convolutional ones do.
    ``SSTNHead(in_channels=None)`` goes with it.

    Args:
        **settings: Those of :class:`PoseLocalizer`.

    Example:
        >>> localizer = dict(type='SecondLook', dead_zone=0.3)
    """


@contextmanager
def evaluating(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Run modules in evaluation mode, without gradient."""
    training = [m for top in modules for m in top.modules() if m.training]
    for module in training:
        module.training = False
    try:
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True
