"""The parallel branch of RMPE's training, beside the model it teaches."""

from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.runner import load_checkpoint
from mmengine.structures import InstanceData, PixelData
from mmpose.models.pose_estimators import TopdownPoseEstimator
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from mmpose.utils.typing import SampleList
from torch import Tensor, nn

from ..errors import ConfigError
from .heads import head_on_outputs, keypoint_head
from .sdtn import CropFrame, at_least_float32, joint_locations, sdtn_outputs
from .spatial_transformer import transform_points
from .theta import motion_of
from .transforms import TARGET_PREFIX

CENTER_LOSSES = ('coordinates', 'heatmaps', 'paper')
SMOOTH = 0.1  # below this distance the loss is quadratic, as theta's


class ParallelBranch:
    """A frozen twin of a model's SPPE and its centre loss (RMPE, sec. 3.1).

    It is no module of the model that it teaches: its weights are neither
    averaged (``EMAHook``), nor synchronised, initialised, counted or exported
    with that model's. What has to follow the model, devices and checkpoints,
    the model hands on.

    Its arguments are those of ``ParallelSPPE(parallel=...)``:

    Args:
        sppe (dict, optional): Config of another top-down model. Defaults to
            None: a copy of the main one, weights included.
        checkpoint (str, optional): The weights of that model. Defaults to
            None.
        loss_weight (float): Factor of the centre loss. Defaults to 1.0.
        center_loss (str): What of the twin is compared with the pose in the
            clean box's frame, and how theta gets its gradient:

            - ``'coordinates'``: the joints that the twin finds, weighted by
              its confidence, by their smooth L1 distance in units of half
              the crop's sides. The twin runs without gradient, and its joints
              move with theta as the places do that they show
              (:func:`.motion_of`)
            - ``'heatmaps'``: the twin's outputs, moved alike, by its head's
              loss; the paper's value with another gradient
            - ``'paper'``: the same, with the gradient through the twin and
              the pixels of the warped crop

            Defaults to 'coordinates'.
    """

    def __init__(
        self,
        sppe: dict | None = None,
        checkpoint: str | None = None,
        loss_weight: float = 1.0,
        center_loss: str = 'coordinates',
    ) -> None:
        if sppe is not None:
            check_sppe(sppe, 'parallel.sppe')
        if center_loss not in CENTER_LOSSES:
            raise ValueError(
                f'parallel: center_loss={center_loss!r} is none of '
                f'{", ".join(CENTER_LOSSES)}'
            )
        self.sppe = sppe
        self.checkpoint = checkpoint
        self.loss_weight = loss_weight
        self.center_loss = center_loss
        self.module: nn.Module | None = None
        self._resumed: dict[str, Tensor] = {}

    @property
    def through_pixels(self) -> bool:
        """Whether the gradient goes through the twin to the crop."""
        return self.center_loss == 'paper'

    def make(self, model: nn.Module, device: torch.device) -> None:
        """Make the twin of a model, from a resumed run's weights if any.

        Raises:
            ConfigError: If the twin's weights were never trained.
        """
        if self.sppe is None:
            module, is_trained = nn.Module(), model.has_loaded_head
            for name, part in model.sppe_parts.items():
                part = part if model.is_own_twin else deepcopy(part)
                module.add_module(name, part)
        else:
            module, is_trained = MODELS.build(self.sppe), False
            module.init_weights()
        loaded, self._resumed = self._resumed, {}
        if loaded and not model.is_own_twin:
            module.load_state_dict(loaded)
        elif self.checkpoint is not None:
            load_checkpoint(module, self.checkpoint, map_location='cpu')
        elif not (is_trained or _is_pretrained(module)):
            raise ConfigError(
                'ParallelSPPE: the head of the parallel SPPE was never '
                'trained and would teach nothing: give the checkpoint of a '
                'trained SPPE (stage 1) in load_from, or that of a model of '
                "its own in parallel['checkpoint']"
            )
        self.module = module.requires_grad_(False).to(device).eval()

    def outputs(self, warped: Tensor) -> Any:
        """Return what the twin sees in the STN's crops, not below float32."""
        feats = self.module.backbone(warped)
        if 'neck' in self.module._modules:
            feats = self.module.neck(feats)
        # A visible joint stays visible however its person is centred.
        return at_least_float32(keypoint_head(self.module.head).forward(feats))

    def loss(
        self, warped: Tensor, theta: Tensor, data_samples: SampleList
    ) -> dict:
        """Calculate the losses of crops ``(B, 3, h, w)`` warped at theta.

        ``loss_center`` is the distance of the joints, or the head's
        ``loss_kpt``; the head's other losses alike.

        Raises:
            KeyError: If a sample has no centre-located target.
        """
        samples = [center_sample(sample) for sample in data_samples]
        head = keypoint_head(self.module.head)
        with torch.set_grad_enabled(self.through_pixels):
            outputs = self.outputs(warped)
        frame = CropFrame.of_decoder(head.decoder)
        if self.center_loss == 'coordinates':
            moves = motion_of(theta)
            distance = joint_distance(outputs, moves, frame, samples)
            return dict(loss_center=distance * self.loss_weight)
        if not self.through_pixels:
            outputs = sdtn_outputs(outputs, motion_of(theta), frame)
        losses = head_on_outputs(head).loss(
            outputs, samples, train_cfg=dict(compute_acc=False)
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


def joint_distance(
    outputs: Any, motion: Tensor, frame: CropFrame, samples: SampleList
) -> Tensor:
    """Compare a head's joints, moved, with the samples' ``keypoints``.

    The mean smooth L1 distance, weighted by the head's confidence; motions
    ``(B, 2, 3)`` are in normalised units, keypoints in pixels of the crop.
    """
    labels = [sample.gt_instance_labels for sample in samples]
    xy, confidence = joint_locations(outputs, frame)
    moved = transform_points(motion, frame.normalize(xy))
    target = torch.cat([label.keypoints[:1] for label in labels]).to(moved)
    weights = torch.cat([label.keypoint_weights[:1] for label in labels])
    weights = (weights > 0).to(moved)
    distance = F.smooth_l1_loss(
        moved, frame.normalize(target), reduction='none', beta=SMOOTH
    )
    weighted = distance.mean(-1) * weights * confidence
    return weighted.sum() / weights.sum().clamp(min=1)


def _is_pretrained(module: nn.Module) -> bool:
    """Whether weights of its head come with its config."""
    configs = []
    for part in (module, module.head):
        given = getattr(part, 'init_cfg', None) or []
        configs += given if isinstance(given, list) else [given]
    return any(config.get('type') == 'Pretrained' for config in configs)


def check_sppe(sppe: dict, name: str) -> None:
    """Refuse what is no config of mmpose's top-down model with a head."""
    kind = sppe.get('type')
    if isinstance(kind, str):
        kind = MODELS.get(kind)
    if kind is not TopdownPoseEstimator or sppe.get('head') is None:
        raise ValueError(
            f"{name}: expected the config of a 'TopdownPoseEstimator' with a "
            f'head (the `model` of a top-down config), got type='
            f'{sppe.get("type")!r}'
        )


# mmengine's data elements copy their meta information, which a compiler that
# traces the loss cannot
@torch.compiler.disable
def center_sample(sample: PoseDataSample) -> PoseDataSample:
    """Return a sample whose targets are its centre-located ones."""
    center = PoseDataSample(metainfo=sample.metainfo)
    given = sample.get('gt_fields', PixelData())
    labels, fields = InstanceData(), type(given)()  # may be multilevel
    for source, target in (
        (sample.get('gt_instance_labels', labels), labels),
        (given, fields),
    ):
        for key in list(source.keys()):
            if key.startswith(TARGET_PREFIX):
                target.set_field(
                    source.get(key), key.removeprefix(TARGET_PREFIX)
                )
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
