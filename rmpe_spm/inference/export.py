"""Models as ONNX files, decoding and RMPE's transforms included."""

import inspect
import io
import json
import warnings
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmpose.datasets.transforms import (
    BottomupResize,
    GetBBoxCenterScale,
    LoadImage,
    PackPoseInputs,
    TopdownAffine,
)

from ..errors import ConfigError, RunFailedError
from ..files import write_atomically
from ..spm.head import SPMHead
from ..spm.postprocessing import pose_nms_config
from .exported_networks import ExportedSPM, ExportedTopdown
from .inferencer import PoseInferencer
from .onnx_inferencer import METADATA_KEY

OPSET = 17
TOLERANCE_PX = 1e-3

# joints that this share in the weights moves are a matter of rounding
_ROUNDING = torch.finfo(torch.float32).eps
_NUM_ROUNDINGS = 2


class Agreement(NamedTuple):
    """How well two models agree that differ in how they round.

    Attributes:
        pixels (float): The largest distance of joints that rounding does not
            decide.
        undecided (float): The share of joints that it does.
    """

    pixels: float
    undecided: float


def export_onnx(inferencer: PoseInferencer, path: str | Path) -> Agreement:
    """Write a model as ONNX, and compare it with PyTorch's on random input.

    Of SPM root peaks, decoding and snapping are inside, of RMPE theta, both
    transforms and decoding; the parallel branch lives in training only. The
    number of pictures is free, and SPM's pictures may have any size that the
    network takes: ``OnnxPoseInferencer`` shows it each size of a test in
    several. Pictures go in as uint8 in BGR (B, H, W, 3). The test with
    mirrored pictures is left out.

    Args:
        inferencer (PoseInferencer): The model with its pipeline.
        path (str | Path): The file to write.

    Returns:
        Agreement: How far joints are from PyTorch's.

    Raises:
        ConfigError: The model cannot be exported.
        RunFailedError: The exported model says something else than PyTorch.
        ImportError: onnx or onnxruntime is not installed.

    Example::

        export_onnx(PoseInferencer('spm'), 'spm.onnx')
        inferencer = OnnxPoseInferencer('spm.onnx')
    """
    try:
        import onnx
    except ImportError as error:
        raise ImportError(
            "export needs the package onnx: 'pip install rmpe-spm[export]'"
        ) from error
    model = inferencer.model.cpu().eval()
    if inferencer.is_topdown:
        network = ExportedTopdown(model).eval()
    elif isinstance(model.head, SPMHead):
        network = ExportedSPM(model).eval()
    else:
        raise ConfigError(
            f'of bottom-up models those with an SPMHead can be exported, not '
            f'with {type(model.head).__name__}'
        )
    settings = _settings(inferencer)
    width, height = settings['view']['input_size']
    exported = _trace(network, _random_inputs(network, 2, (height, width)))
    document = onnx.load_model_from_string(exported)
    onnx.helper.set_model_props(document, {METADATA_KEY: json.dumps(settings)})
    onnx.checker.check_model(document)
    content = document.SerializeToString()
    sizes = [(height, width)]
    if not inferencer.is_topdown:
        factor = settings['view']['size_factor']
        sizes.append((height + factor, 2 * width))
    agreements = [
        compare(network, content, _random_inputs(network, number, size))
        for number, size in zip((3, 1), sizes, strict=False)
    ]
    agreement = Agreement(*map(max, zip(*agreements, strict=True)))
    if agreement.pixels > TOLERANCE_PX:
        raise RunFailedError(
            'the exported model differs from PyTorch by '
            f'{agreement.pixels:.3g} pixels on random pictures: {path} is not '
            'written'
        )
    write_atomically(path, content)
    return agreement


def _settings(inferencer: PoseInferencer) -> dict[str, Any]:
    """What an exported model tells of itself."""
    test_cfg = inferencer.model.test_cfg or {}
    nms = None if inferencer.is_topdown else pose_nms_config(test_cfg)
    metainfo = inferencer.metainfo
    names = metainfo['keypoint_id2name']
    return dict(
        _scale_settings(inferencer),
        is_topdown=inferencer.is_topdown,
        score_thr=inferencer.score_thr,
        keypoint_names=[names[index] for index in sorted(names)],
        skeleton_links=[list(link) for link in metainfo['skeleton_links']],
        view=_view_settings(inferencer),
        nms=None if nms is None else dict(nms),
        max_num_people=None
        if inferencer.is_topdown
        else test_cfg.get('max_num_people', 30),
    )


def _scale_settings(inferencer: PoseInferencer) -> dict[str, Any]:
    """The sizes of a test in several, beside the first."""
    (scales,) = [
        list(step.aug_scales or [])
        for step in inferencer.pipeline.transforms
        if isinstance(step, BottomupResize)
    ] or [[]]
    if not scales:
        return {}
    size_range = inferencer.model.test_cfg.get('pose_size_range')
    if size_range is None:
        raise ConfigError(
            'of tests in several sizes those with pose_size_range can be '
            'exported, not those that average maps'
        )
    return dict(aug_scales=scales, pose_size_range=list(size_range))


def _view_settings(inferencer: PoseInferencer) -> dict[str, Any]:
    """The arguments of :mod:`.warping`'s views, from the pipeline."""
    settings: dict[str, Any] = {}
    for step in inferencer.pipeline.transforms:
        if isinstance(step, BottomupResize):
            settings.update(
                input_size=list(step.input_size),
                size_factor=step.size_factor,
                resize_mode=step.resize_mode,
                use_udp=step.use_udp,
            )
        elif type(step) is GetBBoxCenterScale:
            settings.update(padding=step.padding)
        elif type(step) is TopdownAffine:
            settings.update(
                input_size=list(step.input_size), use_udp=step.use_udp
            )
        elif not isinstance(step, LoadImage | PackPoseInputs):
            raise ConfigError(
                f'the test pipeline has {type(step).__name__}, which an '
                'exported model cannot repeat'
            )
    return settings


def _random_inputs(
    network: torch.nn.Module, number: int, size: tuple[int, int]
) -> tuple[torch.Tensor, ...]:
    """Random pictures of a size (h, w): flat ones leave peaks to rounding."""
    generator = torch.Generator().manual_seed(0)
    small = torch.rand(number, 3, 8, 8, generator=generator)
    images = torch.nn.functional.interpolate(small, size, mode='bilinear')
    images = images * 0.8 + 0.2 * torch.rand(images.shape, generator=generator)
    images = (images * 255).byte().permute(0, 2, 3, 1).contiguous()
    regions = torch.tensor([[0.0, 0, size[1], size[0]]] * number)
    return (images, regions)[: len(network.inputs)]


def _trace(network: torch.nn.Module, inputs: tuple) -> bytes:
    axes = {name: {0: 'batch'} for name in (*network.inputs, *network.outputs)}
    if 'regions' in axes:
        axes['images'].update({1: 'height', 2: 'width'})
        for name in network.outputs:
            axes[name][1] = 'people'
    buffer = io.BytesIO()
    arguments = inspect.signature(torch.onnx.export).parameters
    # of PyTorch's two exporters the one that every version here has
    old = dict(dynamo=False) if 'dynamo' in arguments else {}
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.onnx.export(
            network,
            inputs,
            buffer,
            input_names=list(network.inputs),
            output_names=list(network.outputs),
            dynamic_axes=axes,
            opset_version=OPSET,
            **old,
        )
    return buffer.getvalue()


@torch.no_grad()
def compare(
    network: torch.nn.Module, content: bytes, inputs: Sequence[torch.Tensor]
) -> Agreement:
    """Compare an exported network, the content of its file, with PyTorch's.

    Equal peaks, a Newton step where a heatmap is flat and the like let
    rounding decide where a joint is. Such joints move too where the weights
    change in their last bits, and are left out.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(
        content, providers=['CPUExecutionProvider']
    )
    named = zip(network.inputs, inputs, strict=True)
    found = session.run(None, {name: each.numpy() for name, each in named})
    expected = [each.numpy() for each in network(*inputs)]
    generator = torch.Generator().manual_seed(0)
    moves = _moves(expected, found)
    undecided = np.zeros(moves.shape, bool)
    for _ in range(_NUM_ROUNDINGS):
        rounded = deepcopy(network)
        for weights in rounded.parameters():
            noise = torch.randn(weights.shape, generator=generator)
            weights.mul_(1 + _ROUNDING * noise)
        outputs = [each.numpy() for each in rounded(*inputs)]
        undecided |= _moves(expected, outputs) > TOLERANCE_PX / 2
    return Agreement(
        float(moves[~undecided].max(initial=0)),
        float(undecided.mean()) if undecided.size else 0.0,
    )


def _moves(
    expected: Sequence[np.ndarray], found: Sequence[np.ndarray]
) -> np.ndarray:
    """How far each joint (N, K) is from that of other outputs, in pixels."""
    if len(expected) == 2:
        return np.abs(found[0] - expected[0]).max(axis=-1)
    moves = [np.zeros((0, expected[0].shape[2]))]
    for poses, scores, others in zip(
        expected[0], expected[2], found[0], strict=True
    ):
        # equal scores change places: the same is who has most joints there
        for pose in poses[scores > 0]:
            apart = np.abs(others - pose).max(axis=-1)
            same = (apart < TOLERANCE_PX).sum(axis=-1).argmax()
            moves.append(apart[[same]])
    return np.concatenate(moves)
