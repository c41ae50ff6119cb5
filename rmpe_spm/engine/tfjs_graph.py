"""Reads the convolutions of TensorFlow.js graph models, without TensorFlow.

A graph model is a JSON file (the nodes, and a manifest of the weights) and
binary files beside it that hold the weights one after another.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

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
