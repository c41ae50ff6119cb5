"""The parallel branch of RMPE's training, beside the model it teaches."""

import logging
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.runner import load_checkpoint
from mmengine.structures import InstanceData, PixelData
from mmpose.models.pose_estimators import TopdownPoseEstimator
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from mmpose.utils.typing import SampleList
from torch import Tensor, nn

from .heads import head_on_outputs, keypoint_head
from .sdtn import at_least_float32

TARGET_PREFIX = 'center_'


class ParallelBranch:
    """A frozen twin of a model's SPPE and its centre loss (RMPE, sec. 3.1).

    It is no module of the model that it teaches: its weights are neither
    averaged (``EMAHook``), nor synchronised, initialised, counted or exported
    with that model's. What has to follow the model, devices and checkpoints,
    the model hands on.

    Its arguments are those of ``ParallelSPPE(parallel=...)``.
    """

    def __init__(
        self,
        sppe: dict | None = None,
        checkpoint: str | None = None,
        loss_weight: float = 1.0,
    ) -> None:
        if sppe is not None:
            check_sppe(sppe, 'parallel.sppe')
        self.sppe = sppe
        self.checkpoint = checkpoint
        self.loss_weight = loss_weight
        self.module: nn.Module | None = None
        self._resumed: dict[str, Tensor] = {}

    def make(self, model: nn.Module, device: torch.device) -> None:
        """Make the twin of a model, from a resumed run's weights if any."""
        if self.sppe is None:
            module = nn.Module()
            for part in ('backbone', 'neck', 'head'):
                if part in model._modules:
                    module.add_module(part, deepcopy(model._modules[part]))
            source = 'a copy of the main SPPE'
        else:
            module = MODELS.build(self.sppe)
            module.init_weights()
            source = 'a model of its own'
        loaded, self._resumed = self._resumed, {}
        if loaded and _shapes(loaded) != _shapes(module.state_dict()):
            _warn(
                'the loaded checkpoint has the parallel SPPE of another '
                "model: the config's is made anew"
            )
            loaded = {}
        if loaded:
            module.load_state_dict(loaded)
            source = "the loaded checkpoint's"
        elif self.checkpoint is not None:
            load_checkpoint(module, self.checkpoint, map_location='cpu')
            source = self.checkpoint
        elif self.sppe is not None:
            _warn(
                "parallel['sppe'] without parallel['checkpoint'] is frozen "
                'as its init_cfg makes it: a head that was never trained '
                'teaches nothing. Give the checkpoint of a trained model'
            )
        self.module = module.requires_grad_(False).to(device).eval()
        print_log(f'The parallel SPPE is {source}, frozen.', 'current')

    def outputs(self, warped: Tensor) -> Any:
        """Return what the twin sees in the STN's crops, in their frame.

        The outputs of the head that predicts keypoints, in float32 at least:
        its loss may go through numpy, which has no bfloat16.
        """
        feats = self.module.backbone(warped)
        if 'neck' in self.module._modules:
            feats = self.module.neck(feats)
        # A visible joint stays visible however its person is centred.
        return at_least_float32(keypoint_head(self.module.head).forward(feats))

    def loss(self, warped: Tensor, data_samples: SampleList) -> dict:
        """Calculate the losses of the STN's crops on the centre targets.

        ``loss_center`` is the head's ``loss_kpt``; its other losses alike.

        Raises:
            KeyError: If a sample has no centre-located target.
        """
        losses = head_on_outputs(keypoint_head(self.module.head)).loss(
            self.outputs(warped),
            [center_sample(sample) for sample in data_samples],
            train_cfg=dict(compute_acc=False),
        )
        named = {}
        for name, value in losses.items():
            if name.startswith('loss'):
                suffix = name.removeprefix('loss').removeprefix('_kpt')
                named[f'loss_center{suffix}'] = value * self.loss_weight
        return named

    def load(self, state: dict[str, Tensor]) -> None:
        """Take a training checkpoint's weights, also before the twin is."""
        if self.module is None:
            self._resumed = state
        elif state:
            self.module.load_state_dict(state)


def _warn(message: str) -> None:
    print_log(f'ParallelSPPE: {message}', 'current', logging.WARNING)


def _shapes(state: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {key: value.shape for key, value in state.items()}


def check_sppe(sppe: dict, name: str) -> None:
    """Refuse what is no config of mmpose's top-down model with a head."""
    kind = sppe.get('type')
    if isinstance(kind, str):
        kind = MODELS.get(kind)
    if kind is not TopdownPoseEstimator:
        raise ValueError(
            f"{name}: expected the config of a 'TopdownPoseEstimator' (the "
            f'`model` of a top-down config), got type={sppe.get("type")!r}'
        )
    if sppe.get('head') is None:
        raise ValueError(f'{name}: the model needs a `head`')


def check_preprocessing(sppe: dict, data_preprocessor: dict | None) -> None:
    """Refuse a branch of its own that was trained on other preprocessing.

    It looks at the crops that the main model's ``data_preprocessor`` made.
    """
    branch = sppe.get('data_preprocessor')
    if branch is None:
        return
    for key in ('mean', 'std', 'bgr_to_rgb', 'rgb_to_bgr'):
        own, given = (
            to_builtin_containers(config.get(key)) or None
            for config in (branch, data_preprocessor or {})
        )
        if own != given:
            raise ValueError(
                f'parallel.sppe: its data_preprocessor has {key}={own}, the '
                f'main model {given}, whose crops it sees: train both alike, '
                'or leave parallel.sppe out'
            )


def to_builtin_containers(value: Any) -> Any:
    """Return lists for tuples and dicts for mappings, at any depth."""
    if isinstance(value, list | tuple):
        return [to_builtin_containers(item) for item in value]
    if isinstance(value, Mapping):
        return {k: to_builtin_containers(v) for k, v in value.items()}
    return value


# mmengine's data elements copy their meta information, which a compiler that
# traces the loss cannot
@torch.compiler.disable
def center_sample(sample: PoseDataSample) -> PoseDataSample:
    """Return a sample whose targets are its centre-located ones.

    Raises:
        KeyError: If it has none.
    """
    center = PoseDataSample(metainfo=sample.metainfo)
    given = sample.get('gt_fields', PixelData())
    labels, fields = InstanceData(), type(given)()  # may be multilevel
    for source, target in (
        (sample.get('gt_instance_labels', labels), labels),
        (given, fields),
    ):
        for key in list(source.keys()):
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
