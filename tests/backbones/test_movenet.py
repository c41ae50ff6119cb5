"""MoveNet's backbone, feature pyramids and heatmaps."""

import pytest
import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import Conv2dAdaptivePadding
from mmpose.registry import MODELS

from rmpe_spm import MoveNetStage
from rmpe_spm.backbones.lateral_sum import LateralSum
from rmpe_spm.backbones.movenet import (
    MoveNetFPN,
    SamePaddingConv2d,
    TFMobileNetV2,
)
from rmpe_spm.rmpe.movenet_head import MoveNetHeatmapHead


@pytest.mark.parametrize(
    ('width', 'channels'),
    [
        (0.5, (16, 16, 32, 1280)),
        (1.0, (24, 32, 64, 1280)),
        (1.5, (40, 48, 96, 1280)),
        (1.75, (40, 56, 112, 1280)),
    ],
)
def test_levels_at_any_width(width, channels):
    backbone = MODELS.build(dict(type='TFMobileNetV2', widen_factor=width))
    feats = backbone(torch.rand(2, 3, 64, 96))
    assert [tuple(feat.shape) for feat in feats] == [
        (2, own, 64 // stride, 96 // stride)
        for own, stride in zip(channels, (4, 8, 16, 32), strict=True)
    ]
    neck = MODELS.build(dict(type='MoveNetFPN', in_channels=channels))
    [feature] = neck(feats)
    assert feature.shape == (2, 24, 16, 24)


def test_stride_two_pads_on_the_right_and_bottom():
    backbone = TFMobileNetV2(widen_factor=0.25)
    image = torch.randn(1, 3, 32, 64)
    stem = backbone.conv1
    expected = F.conv2d(
        F.pad(image, (0, 1, 0, 1)), stem.conv.weight, stem.conv.bias, stride=2
    )
    torch.testing.assert_close(stem(image), expected.clamp(0, 6))


def test_every_weight_is_trained_but_the_frozen_layers():
    backbone = TFMobileNetV2(widen_factor=0.25, frozen_stages=2)
    neck = MoveNetFPN([8, 8, 16, 1280])
    backbone.train()
    [feature] = neck(backbone(torch.randn(2, 3, 64, 64)))
    feature.square().sum().backward()
    parts = 'conv1.', 'layer1.', 'layer2.'
    for name, value in backbone.named_parameters():
        assert (value.grad is None) == name.startswith(parts), name
    assert all(value.grad is not None for value in neck.parameters())
    assert not any('bn' in name for name in backbone.state_dict())


def test_the_pyramid_by_hand():
    neck = MoveNetFPN([1, 1], out_channels=[1, 1])
    for weight in neck.parameters():
        torch.nn.init.zeros_(weight)
    for lateral in neck.laterals:
        torch.nn.init.ones_(lateral.weight)
    neck.fusions[0][0].weight.data[0, 0, 1, 1] = 1  # the cell itself
    neck.fusions[0][1].weight.data[:] = 2
    fine = torch.tensor([[[[1.0, 2, 3, 4]] * 2]])
    coarse = torch.tensor([[[[0.0, 8]]]])
    # half-pixel centres: a quarter and three quarters between the cells
    [merged] = neck([fine, coarse])
    expected = torch.tensor([1.0, 2 + 2, 3 + 6, 4 + 8]) * 2
    torch.testing.assert_close(merged[0, 0], expected.expand(2, 4))


def test_features_for_depths_lie_behind_the_others():
    neck = MoveNetFPN([2, 3], out_channels=[4, 5], depth_channels=6)
    feats = torch.rand(2, 2, 4, 6), torch.rand(2, 3, 2, 3)
    [merged] = neck(feats)
    [depths] = neck.depths(feats)
    torch.testing.assert_close(merged[:, 4:], depths)
    neck.depths = None
    torch.testing.assert_close(merged[:, :4], neck(feats)[0])


@pytest.mark.parametrize('size', [(7, 10), (8, 9), (1, 1)])
@pytest.mark.parametrize('stride', [1, 2, 3])
@pytest.mark.parametrize('kernel', [1, 3, 4])
def test_same_padding_is_that_of_mmcv(size, stride, kernel):
    torch.manual_seed(0)
    ours = SamePaddingConv2d(2, 4, kernel, stride, groups=2)
    theirs = Conv2dAdaptivePadding(2, 4, kernel, stride, groups=2)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(1, 2, *size)
    torch.testing.assert_close(ours(x), theirs(x))


@pytest.fixture
def feats():
    torch.manual_seed(0)
    sizes = ((4, 12, 8), (6, 6, 4), (5, 3, 2))
    return [torch.randn(2, *size) for size in sizes]


def upsample(x, size):
    return F.interpolate(x, size=size, mode='bilinear', align_corners=False)


def test_lateral_sum_written_out(feats):
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


def test_levels_that_do_not_fit_are_told(feats):
    with pytest.raises(ValueError, match='shorter'):
        LateralSum([4, 6, 5], 7)(feats[:2])
    feats = [torch.rand(1, 4, 12, 9), torch.rand(1, 6, 6, 5)]
    with pytest.raises(ValueError, match=r'LateralSum.*\(6, 5\).*\(12, 9\)'):
        LateralSum([4, 6], 7)(feats)


def test_a_head_starts_with_the_joint_heatmaps_of_a_checkpoint(tmp_path):
    torch.manual_seed(0)
    stage = MoveNetStage(8, 17, True, False)
    state = {
        f'head.stages.0.{name}': value
        for name, value in stage.state_dict().items()
    }
    torch.save(dict(state_dict=state), tmp_path / 'movenet.pth')
    head = MODELS.build(
        dict(
            type='MoveNetHeatmapHead',
            in_channels=8,
            out_channels=17,
            init_cfg=dict(
                type='Pretrained',
                checkpoint=str(tmp_path / 'movenet.pth'),
                prefix='head.stages.0.',
            ),
        )
    )
    head.init_weights()
    feature = torch.randn(2, 8, 12, 16)
    heatmaps = head([feature])
    torch.testing.assert_close(heatmaps, stage(feature)[0][:, :17])
    assert heatmaps.min() > 0 and heatmaps.max() < 1


def test_the_head_uses_the_last_features_and_trains_all_weights():
    head = MoveNetHeatmapHead(4, 3, channels=6)
    head([torch.zeros(1, 9, 2, 2), torch.randn(1, 4, 5, 5)]).sum().backward()
    assert all(value.grad is not None for value in head.parameters())
