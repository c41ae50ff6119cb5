"""SSTNHead's whole path has the gradients of what it computes, in float64."""

import pytest
import torch
from mmpose.registry import MODELS
from torch.autograd import gradcheck
from torch.func import functional_call

SIZE, MAP, CHANNELS, JOINTS = (16, 20), (4, 5), 3, 2
# No cell of either warp falls on a cell of its source, where bilinear
# sampling has a kink.
PARAMS = {
    'affine': [0.83, 0.07, 0.11, -0.06, 0.91, -0.13],
    'scale_shift': [0.83, 0.11, -0.13],
}


GAU = dict(hidden_dims=4, s=4, expansion_factor=1, act_fn='SiLU')
GAU.update(dropout_rate=0.0, drop_path=0.0, use_rel_bias=False, pos_enc=False)
HEATMAPS = dict(type='HeatmapHead', deconv_out_channels=None)
SIMCC = dict(
    type='RTMCCHead',
    out_channels=JOINTS,
    input_size=SIZE,
    in_featuremap_size=MAP,
    final_layer_kernel_size=1,
    gau_cfg=GAU,
)
MAPS = dict(input_size=SIZE, heatmap_size=MAP, sigma=1)
# head and decoder
HEADS = {
    'heatmaps': (
        dict(HEATMAPS, out_channels=JOINTS),
        dict(MAPS, type='MSRAHeatmap'),
    ),
    'offset maps': (
        dict(HEATMAPS, out_channels=3 * JOINTS),
        dict(MAPS, type='UDPHeatmap', heatmap_type='combined'),
    ),
    'coordinates': (
        dict(type='RegressionHead', num_joints=JOINTS),
        dict(type='RegressionLabel', input_size=SIZE),
    ),
    'simcc': (SIMCC, dict(type='SimCCLabel', input_size=SIZE, sigma=4.0)),
}


def an_sstn_head(kind, transform):
    """A head with a theta that depends on the features."""
    torch.manual_seed(0)
    head, decoder = HEADS[kind]
    neck = dict(type='GlobalAveragePooling')
    model = MODELS.build(
        dict(
            type='SSTNHead',
            in_channels=CHANNELS,
            transform=transform,
            pool_size=(2, 2),
            neck=neck if kind == 'coordinates' else None,
            head=dict(head, in_channels=CHANNELS, decoder=decoder),
        )
    ).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.5)
        model.theta_fc.weight.normal_(0, 0.02)
        model.theta_fc.bias.copy_(torch.tensor(PARAMS[transform]))
    return model.eval()


@pytest.mark.parametrize(
    ('kind', 'transform'),
    [
        (kind, transform)
        for kind in HEADS
        for transform in PARAMS
        if kind != 'simcc' or transform == 'scale_shift'
    ],
)
def test_gradients_of_the_whole_path(kind, transform):
    """theta, the STN, the inner head and the SDTN, all inputs at once."""
    model = an_sstn_head(kind, transform)
    names = [n for n, _ in model.named_parameters() if n.startswith('theta')]
    own = dict(model.named_parameters())
    feats = torch.rand(1, CHANNELS, MAP[1], MAP[0], dtype=torch.float64)

    def run(feats, *parameters):
        replaced = dict(zip(names, parameters, strict=True))
        out = functional_call(model, replaced, ([feats],))
        return tuple(out) if isinstance(out, (tuple, list)) else out

    inputs = [feats, *(own[name].detach() for name in names)]
    for tensor in inputs:
        tensor.requires_grad_()
    assert gradcheck(run, inputs)
    # Each of theta's parameters moves the result.
    out = run(*inputs)
    total = sum(o.square().sum() for o in (out if kind == 'simcc' else [out]))
    total.backward()
    assert (inputs[-1].grad.abs() > 1e-6).all()
