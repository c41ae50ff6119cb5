"""MoveNet's backbone and feature pyramid."""

import pytest
import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import Conv2dAdaptivePadding
from mmpose.registry import MODELS

from rmpe_spm.backbones.movenet import (
    MoveNetFPN,
    SamePaddingConv2d,
    TFMobileNetV2,
)


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
