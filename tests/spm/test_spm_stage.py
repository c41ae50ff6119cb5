import pytest
import torch
from mmcv.cnn import DepthwiseSeparableConvModule

from rmpe_spm.spm.stage import SPMStage, build_tower

BN = dict(type='BN')


def test_tower():
    tower, channels = build_tower(
        8, dict(num_convs=2, channels=6, kernel_size=3), BN
    )
    assert channels == 6
    assert tower(torch.rand(2, 8, 5, 7)).shape == (2, 6, 5, 7)
    assert [layer.conv.kernel_size for layer in tower] == [(3, 3)] * 2
    assert not any(layer.conv.bias is not None for layer in tower)
    default, channels = build_tower(8, None, BN)
    assert len(default) == 1 and channels == 256
    empty, channels = build_tower(8, dict(num_convs=0), BN)
    assert len(empty) == 0 and channels == 8


def test_depthwise_tower():
    tower, _ = build_tower(
        8, dict(channels=6, kernel_size=3, depthwise=True), BN
    )
    assert isinstance(tower[0], DepthwiseSeparableConvModule)
    assert tower(torch.rand(2, 8, 5, 5)).shape == (2, 6, 5, 5)


def test_unknown_key():
    with pytest.raises(ValueError, match='num_convs.*got width'):
        build_tower(8, dict(width=3), BN)


def make_stage(feedback, shared=None):
    small = dict(channels=6)
    return SPMStage(8, 3, 4, shared, small, small, BN, feedback)


def test_stage_and_its_initialisation():
    stage = make_stage(False, dict(channels=5))
    stage.init_weights()
    heatmaps, displacements = stage(torch.rand(2, 8, 5, 7))
    assert heatmaps.shape == (2, 3, 5, 7)
    assert displacements.shape == (2, 4, 5, 7)
    for layer in (stage.heatmap_layer, stage.displacement_layer):
        assert 0 < layer.weight.std() < 0.002
        assert (layer.bias == 0).all()
    assert stage.shared_tower[0].conv.weight.std() > 0.05


def test_feedback_adds_the_mapped_predictions():
    stage = make_stage(True).eval()
    feature = torch.rand(1, 8, 4, 4)
    previous = torch.rand(1, 3, 4, 4), torch.rand(1, 4, 4, 4)
    added = stage.heatmap_feedback(previous[0])
    added = added + stage.displacement_feedback(previous[1])
    with_feedback = stage(feature, previous)
    expected = stage(feature + added)
    torch.testing.assert_close(with_feedback, expected)
    assert not torch.equal(with_feedback[0], stage(feature)[0])
