"""MoveNet's graphs, read without TensorFlow, compute what TensorFlow does."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from rmpe_spm.backbones.movenet import MoveNetFPN, TFMobileNetV2
from rmpe_spm.engine.movenet_weights import (
    MOVENETS,
    GraphError,
    import_movenet,
    map_movenet,
    read_graph_model,
    to_hierarchical,
)
from rmpe_spm.spm.stage import MoveNetStage

PREFIX = 'StatefulPartitionedCall/'
EXTRACTOR = f'{PREFIX}fpn/model_1/'


@pytest.fixture
def made_up_graph(tmp_path):
    """A graph of one lateral, one fusion and four heads, 3 joints.

    Returns the function that writes it with changed nodes, and its weights.
    """
    rng = np.random.default_rng(0)
    weights, nodes = {}, [dict(name='input', op='Placeholder')]

    def add(op, name, inputs, kernel, shape, bias=None):
        weights[kernel] = rng.normal(size=shape).astype(np.float16)
        inputs = [*inputs, kernel]
        if bias:
            weights[bias] = rng.normal(size=shape[-1]).astype(np.float16)
            inputs.append(bias)
        nodes.append(dict(name=name, op=op, input=inputs))

    nodes.append(dict(name='scaled', op='Mul', input=['^input', 'input:0']))
    lateral = f'{EXTRACTOR}conv2d_3/Conv2D'
    add('_FusedConv2D', 'lateral', ['scaled'], lateral, (1, 1, 2, 4), 'b0')
    last = f'{EXTRACTOR}separable_conv2d_2/separable_conv2d'
    depthwise = 'DepthwiseConv2dNative'
    add(depthwise, 'dw', ['lateral'], f'{last}/ReadVariableOp', (3, 3, 4, 1))
    add('_FusedConv2D', 'pw', ['dw'], f'{last}_weights', (1, 1, 4, 4), 'b1')
    for head, outs in dict(
        center=1, kpt_heatmap=3, kpt_regress=6, kpt_offset=6
    ).items():
        own = f'{PREFIX}{head}_0/separable_conv2d/'
        end = f'{PREFIX}{head}_0/conv2d_4/'
        add(depthwise, f'{own}d', ['pw'], f'{own}dw', (3, 3, 4, 1))
        for before, name, kernel, shape in (
            (f'{own}d', f'{own}p', f'{own}k', (1, 1, 4, 5)),
            (f'{own}p', f'{end}o', f'{end}k', (1, 1, 5, outs)),
        ):
            add('Conv2D', name, [before], kernel, shape, f'{kernel[:-1]}b')

    def write(changed_nodes=nodes):
        stored = dict(dtype='float32', quantization=dict(dtype='float16'))
        manifest = [
            dict(stored, name=name, shape=list(values.shape))
            for name, values in weights.items()
        ]
        content = dict(
            modelTopology=dict(node=changed_nodes),
            weightsManifest=[dict(paths=['g.bin'], weights=manifest)],
        )
        data = b''.join(values.tobytes() for values in weights.values())
        (tmp_path / 'g.bin').write_bytes(data)
        (tmp_path / 'g.json').write_text(json.dumps(content))
        return tmp_path / 'g.json'

    write.nodes, write.weights = nodes, weights
    return write


def test_a_graph_is_read_into_our_names_and_layout(made_up_graph):
    state = map_movenet(read_graph_model(made_up_graph()))
    weights = made_up_graph.weights
    head = 'head.stages.0.'
    assert list(state) == sorted(
        ['neck.laterals.0.weight', 'neck.laterals.0.bias']
        + [f'neck.fusions.0.{k}' for k in ('0.weight', '1.weight', '1.bias')]
        + [
            f'{head}{branch}.{key}'
            for branch in ('root', 'keypoint', 'displacement', 'offset')
            for key in ('0.weight', '1.weight', '1.bias', '3.weight', '3.bias')
        ]
    )
    kernel = weights[f'{EXTRACTOR}conv2d_3/Conv2D'].astype(np.float32)
    lateral = state['neck.laterals.0.weight']
    assert lateral.dtype == torch.float32
    np.testing.assert_array_equal(lateral[3, 1], kernel[:, :, 1, 3])
    # both kernels of a separable convolution are of one size; their product
    # is what it was
    depthwise = weights[f'{PREFIX}center_0/separable_conv2d/dw']
    pointwise = weights[f'{PREFIX}center_0/separable_conv2d/k']
    ours = [state[f'{head}root.{step}.weight'] for step in (0, 1)]
    np.testing.assert_allclose(
        ours[0][2, 0] * ours[1][4, 2, 0, 0],
        depthwise[:, :, 2, 0].astype(np.float32) * pointwise[0, 0, 2, 4],
        rtol=1e-5,
    )
    sizes = [kernel.square().mean() for kernel in ours]
    torch.testing.assert_close(*sizes)
    # (y, x) pairs become (x, y)
    bias = weights[f'{PREFIX}kpt_regress_0/conv2d_4/b']
    np.testing.assert_array_equal(
        state[f'{head}displacement.3.bias'], bias[[1, 0, 3, 2, 5, 4]]
    )
    bias = weights[f'{PREFIX}kpt_heatmap_0/conv2d_4/b']
    np.testing.assert_array_equal(state[f'{head}keypoint.3.bias'], bias)


@pytest.mark.parametrize(
    'name, changes, said',
    [
        ('scaled', dict(op='FFT'), 'node scaled is of the operation FFT'),
        ('scaled', dict(input=['nowhere']), 'has no node nowhere'),
        (
            'lateral',
            dict(input=['scaled', 'odd']),
            'convolution odd is none of MoveNet',
        ),
        ('nothing', {}, 'is no MoveNet'),
    ],
)
def test_graphs_that_are_not_understood(made_up_graph, name, changes, said):
    made_up_graph.weights['odd'] = np.zeros((1, 1, 2, 4), np.float16)
    nodes = [
        node | changes if node['name'] == name else node
        for node in made_up_graph.nodes
    ]
    # of the last one the heads are missing
    graph = read_graph_model(made_up_graph(nodes if changes else nodes[:5]))
    with pytest.raises(GraphError, match=said):
        map_movenet(graph)


def test_what_no_head_needs_is_not_looked_at(made_up_graph):
    nodes = [*made_up_graph.nodes, dict(name='after', op='TopKV2')]
    assert map_movenet(read_graph_model(made_up_graph(nodes)))


def test_files_that_are_no_graph(made_up_graph, tmp_path):
    def refused(said, **changed):
        for suffix, change in changed.items():
            path = tmp_path / f'g.{suffix}'
            path.write_bytes(change(path.read_bytes()))
        with pytest.raises(GraphError, match=said):
            read_graph_model(tmp_path / 'g.json')
        made_up_graph()

    made_up_graph()
    refused(r'g\.bin: truncated in the weight', bin=lambda data: data[:-1])
    refused('is it of another graph', bin=lambda data: data + b'more')
    refused(r'g\.json is truncated or no graph', json=lambda data: data[:100])
    refused('no graph model', json=lambda data: b'{}')
    refused(
        'stored as uint8',
        json=lambda data: data.replace(b'"float16"', b'"uint8"', 1),
    )
    (tmp_path / 'g.bin').unlink()
    refused(r'g\.bin does not exist')


@pytest.mark.parametrize('name', MOVENETS)
def test_all_heads_agree_with_tensorflow(name, shared_dir, tmp_path):
    source = shared_dir / 'data' / 'movenet'
    out = tmp_path / 'movenet.pth'
    counts = import_movenet(name, source, out)
    checkpoint = torch.load(out, weights_only=True)
    state = checkpoint['state_dict']
    assert checkpoint['meta']['widen_factor'] == MOVENETS[name]
    assert counts['parameters'] == sum(v.numel() for v in state.values())

    backbone = TFMobileNetV2(MOVENETS[name])
    channels = {'multipose': (40, 48, 96), 'thunder': (40, 56, 112)}
    neck = MoveNetFPN([*channels.get(name, (24, 32, 64)), 1280])
    stage = MoveNetStage(24, 17, True, True)
    head = nn.ModuleDict(dict(stages=nn.ModuleList([stage])))
    parts = dict(backbone=backbone, neck=neck, head=head)
    nn.ModuleDict(parts).load_state_dict(state)
    golden = np.load(source / f'golden_{name}.npz')
    image = torch.from_numpy(golden['image']).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        # the graphs hold the factor as float16
        [feature] = neck(backbone(image * 0.00784302 - 1))
        heatmaps, vectors = stage(feature)
    pairs = vectors[0].unflatten(0, (2, 17, 2)).flip(2).flatten(1, 2)
    for key, values in dict(
        center=heatmaps[0, 17:],
        heatmaps=heatmaps[0, :17],
        regression=pairs[0],
        offsets=pairs[1],
    ).items():
        # in parts of the map's range: in cells TensorFlow.js itself is 4e-4
        # off what these weights give in double precision
        extent = max(1, abs(golden[key]).max())
        error = abs(values.numpy() - golden[key]).max()
        assert error < 1e-4 * extent, (key, error)


def test_hierarchical_displacements_add_up_to_the_flat_ones():
    # joint 0 hangs on the root, 1 on 0, 2 on 1, 3 on the root
    ancestors = np.array(
        [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 1]], np.float32
    )
    flat = torch.randn(8, 5, 3)
    limbs = to_hierarchical(flat, ancestors).unflatten(0, (4, 2))
    flat = flat.unflatten(0, (4, 2))
    for joint, parent in ((1, 0), (2, 1)):
        torch.testing.assert_close(limbs[joint], flat[joint] - flat[parent])
    torch.testing.assert_close(limbs[[0, 3]], flat[[0, 3]])
