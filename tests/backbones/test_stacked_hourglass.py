import pytest
import torch
import torch.nn as nn
from mmpose.registry import MODELS

from rmpe_spm.backbones.stacked_hourglass import (
    PreActBottleneck,
    StackedHourglass,
)
from rmpe_spm.spm.head import SPMHead


def complexity(*modules, run):
    """Parameters and multiply-adds of the convolutions, without memory."""
    macs = []

    def count(conv, _, out):
        per_output = conv.weight.numel() // conv.out_channels
        macs.append(out.numel() * per_output)

    for module in modules:
        module.to('meta')
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d):
                layer.register_forward_hook(count)
    run()
    parameters = sum(p.numel() for m in modules for p in m.parameters())
    return parameters / 1e6, sum(macs) / 1e9


def test_size_is_about_the_papers():
    """22.7 M parameters and 66.7 GMACs at 384 with 8 stages: the backbone
    alone has somewhat less, with the prediction branches somewhat more."""
    backbone = StackedHourglass(num_stacks=8).eval()
    image = torch.empty(1, 3, 384, 384, device='meta')
    parameters, gmacs = complexity(backbone, run=lambda: backbone(image))
    assert parameters == pytest.approx(21.94, abs=0.01)
    assert gmacs == pytest.approx(61.05, abs=0.1)
    head = SPMHead(256, 16, num_stages=8).eval()
    backbone = StackedHourglass(num_stacks=8).eval()
    parameters, gmacs = complexity(
        backbone, head, run=lambda: head.forward_stages(backbone(image))
    )
    assert parameters == pytest.approx(23.06, abs=0.01)
    assert gmacs == pytest.approx(71.34, abs=0.1)


def test_features_of_all_stacks():
    backbone = MODELS.build(
        dict(type='StackedHourglass', num_stacks=3, channels=16)
    )
    backbone.init_weights()
    backbone.eval()
    image = torch.rand(2, 3, 64, 128)
    features = backbone(image)
    assert [tuple(f.shape) for f in features] == [(2, 16, 16, 32)] * 3
    # one image does not depend on the other
    torch.testing.assert_close(
        backbone(image[1:])[2], features[2][1:], rtol=1e-2, atol=1e-2
    )
    sum(f.sum() for f in features[-1:]).backward()
    assert all(p.grad is not None for p in backbone.parameters())


def test_residual_keeps_its_input():
    block = PreActBottleneck(8, 8).eval()
    x = torch.randn(1, 8, 5, 5)
    kept = x.clone()
    out = block(x)
    assert torch.equal(x, kept)
    block.layers[-1].weight.data.zero_()
    block.layers[-1].bias.data.zero_()
    torch.testing.assert_close(block(x), x)
    assert not torch.equal(out, x)


@pytest.mark.parametrize(
    ('depth', 'size', 'divisor'),
    [(4, (96, 128), 64), (4, (128, 448 + 32), 64), (2, (24, 32), 16)],
)
def test_sizes_that_do_not_divide(depth, size, divisor):
    backbone = StackedHourglass(1, 8, depth=depth)
    with pytest.raises(ValueError, match=f'multiples of {divisor};'):
        backbone(torch.rand(1, 3, *size))


def test_smaller_depth_takes_smaller_inputs():
    backbone = StackedHourglass(1, 8, depth=2).eval()
    assert backbone(torch.rand(1, 3, 32, 48))[0].shape == (1, 8, 8, 12)
