"""mmpose's top-down heads around an SDTN: any head, without a change to it.

A head computes its losses and predictions from what its own ``forward``
makes of the features. RMPE needs something in between::

    outputs = head.forward(feats)                      # in the STN's frame
    outputs = sdtn_outputs(outputs, theta, frame)      # in the crop's frame
    losses = head_on_outputs(head).loss(outputs, data_samples)
"""

from copy import copy
from operator import itemgetter
from typing import Any

import torch
from mmengine.structures import InstanceData, PixelData
from torch import Tensor, nn

from .sdtn import CropFrame, sdtn_keypoints, sdtn_outputs, sdtn_vectors
from .theta import mirror_theta, normalized_to_pixel_theta


def keypoint_head(head: nn.Module) -> nn.Module:
    """Return the head in mmpose's ``VisPredictHead``, or the head itself."""
    return getattr(head, 'pose_head', head)


def head_on_outputs(head: nn.Module) -> nn.Module:
    """Return a shallow copy of a head that takes its own outputs.

    ``loss`` and ``predict`` of the copy take what ``head.forward`` returns in
    the place of features. It shares all parameters. Make it for one call.
    """
    copied = copy(head)
    copied.forward = _unchanged
    inner = keypoint_head(head)
    if inner is not head:  # (keypoints, visibility)
        pose_head = copy(inner)
        pose_head.forward = itemgetter(0)
        copied._modules = {**head._modules, 'pose_head': pose_head}
        copied.vis_forward = itemgetter(1)
    return copied


def _unchanged(outputs: Any) -> Any:
    return outputs


def forward_in_crop(
    head: nn.Module, feats: Any, theta: Tensor, frame: CropFrame
) -> Any:
    """Return a head's outputs from features of the STN's crop."""
    inner = keypoint_head(head)
    if inner is head:
        return sdtn_outputs(head.forward(feats), theta, frame)
    # First, as in its own loss: it reshapes pooled features in place.
    visibility = head.vis_forward(feats)
    return sdtn_outputs(inner.forward(feats), theta, frame), visibility


def predict_in_crop(
    head: nn.Module,
    feats: Any,
    data_samples: list,
    test_cfg: dict,
    theta: Tensor,
    frame: CropFrame,
) -> list[InstanceData] | tuple[list[InstanceData], list[PixelData]]:
    """Predict from features of the STN's crop, in the crop's frame.

    With ``test_cfg['sdtn'] == 'coordinates'``, the default, the head decodes
    in the STN's frame and theta is applied to the keypoints: exact, and no
    second resampling. With ``'heatmaps'`` the SDTN acts on the outputs, as
    in the paper, before decoding. In a flip test ``feats`` are a pair, the
    second of the mirrored crop, warped by :func:`mirror_theta` of theta.
    """
    if test_cfg.get('sdtn', 'coordinates') == 'heatmaps':
        if test_cfg.get('flip_test', False):
            outputs = [
                forward_in_crop(head, feats[0], theta, frame),
                forward_in_crop(head, feats[1], mirror_theta(theta), frame),
            ]
        else:
            outputs = forward_in_crop(head, feats, theta, frame)
        head = head_on_outputs(head)
        return head.predict(outputs, data_samples, test_cfg=test_cfg)

    preds = head.predict(feats, data_samples, test_cfg=test_cfg)
    preds, fields = preds if isinstance(preds, tuple) else (preds, None)
    theta_px = normalized_to_pixel_theta(theta, frame.size)
    theta_px = theta_px.detach().cpu().numpy()
    for index, pred in enumerate(preds):
        pred.keypoints = sdtn_keypoints(pred.keypoints, theta_px[index], frame)
        if 'keypoint_x_labels' in pred:  # SimCC's vectors, with the heatmaps
            keys = ('keypoint_x_labels', 'keypoint_y_labels')
            vectors = [torch.as_tensor(pred.get(key)) for key in keys]
            one = theta[index : index + 1].detach().cpu()
            moved = sdtn_vectors(vectors, one, frame)
            for key, vector in zip(keys, moved, strict=True):
                pred.set_field(vector.numpy(), key)
    if fields is None:
        return preds
    for index, field in enumerate(fields):
        maps, one = field.heatmaps[None], theta[index : index + 1]
        field.heatmaps = sdtn_outputs(maps, one, frame)[0]
    return preds, fields


def check_sdtn_mode(test_cfg: dict) -> None:
    """Refuse a ``test_cfg`` whose ``sdtn`` is unknown, by a ValueError."""
    mode = test_cfg.get('sdtn', 'coordinates')
    if mode not in ('coordinates', 'heatmaps'):
        raise ValueError(
            f"test_cfg: sdtn={mode!r} is neither 'coordinates' nor 'heatmaps'"
        )


def check_transform(head: nn.Module, transform: str) -> None:
    """Refuse a SimCC head and a transform that mixes the axes."""
    head = keypoint_head(head)
    if transform != 'scale_shift' and hasattr(head, 'simcc_split_ratio'):
        raise ValueError(
            f'{type(head).__name__} predicts one distribution per axis, which '
            f'the SDTN of transform={transform!r} would mix: give SSTNHead '
            "transform='scale_shift'"
        )
