"""LateralSum against a sum written out, and its errors."""

import pytest
import torch
import torch.nn.functional as F
from mmpose.registry import MODELS

from rmpe_spm.backbones.lateral_sum import LateralSum


@pytest.fixture
def feats():
    torch.manual_seed(0)
    sizes = ((4, 12, 8), (6, 6, 4), (5, 3, 2))
    return [torch.randn(2, *size) for size in sizes]


def upsample(x, size):
    return F.interpolate(x, size=size, mode='bilinear', align_corners=False)


def test_the_sum_written_out(feats):
    neck = LateralSum([4, 6, 5], 7).eval()
    with torch.no_grad():
        y = [
            torch.einsum('oc,bchw->bohw', conv.weight[..., 0, 0], feat)
            + conv.bias[:, None, None]
            for conv, feat in zip(neck.laterals, feats, strict=True)
        ]
        expected = y[0] + upsample(y[1] + upsample(y[2], (6, 4)), (12, 8))
        expected = (expected / (1 + neck.norm.eps) ** 0.5).clamp(min=0)
        (out,) = neck(feats)
    assert out.shape == (2, 7, 12, 8)
    torch.testing.assert_close(out, expected)


def test_every_level_matters_and_learns(feats):
    neck = MODELS.build(
        dict(type='LateralSum', in_channels=[4, 6, 5], out_channels=3)
    )
    neck(feats)[0].square().sum().backward()
    for lateral in neck.laterals:
        assert lateral.weight.grad.abs().min() > 0


def test_levels_that_do_not_fit_are_told(feats):
    with pytest.raises(ValueError, match='shorter'):
        LateralSum([4, 6, 5], 7)(feats[:2])
    feats = [torch.rand(1, 4, 12, 9), torch.rand(1, 6, 6, 5)]
    with pytest.raises(ValueError, match=r'LateralSum.*\(6, 5\).*\(12, 9\)'):
        LateralSum([4, 6], 7)(feats)
