import pytest
import torch
from mmpose.models import build_pose_estimator

from rmpe_spm.leaderboard.cost import count_gflops, count_parameters


class Convolution(torch.nn.Conv2d):
    """A backbone of one layer."""

    def forward(self, inputs):
        return (super().forward(inputs),)


@pytest.fixture
def model(tiny_config):
    """A 3x3 convolution of stride 4, and the head's 1x1 convolution."""
    model = build_pose_estimator(tiny_config.model)
    model.backbone = Convolution(3, 8, 3, stride=4, padding=1)
    model.train()
    return model


def test_counts_of_a_small_model(model):
    convolution, last = 3 * 3 * 3 * 8, 8 * 17
    assert count_parameters(model) == convolution + 8 + last + 17
    # one operation is a multiplication and an addition
    expected = (convolution + last) * 12 * 16
    assert count_gflops(model, (48, 64))[0] * 1e9 == pytest.approx(expected)
    assert count_gflops(model, (96, 64))[0] * 1e9 == pytest.approx(
        2 * expected
    )
    assert model.training  # as it was


def test_model_that_cannot_be_traced(model):
    def fail(*args, **kwargs):
        raise NotImplementedError

    model.forward = fail
    assert count_gflops(model, (48, 64)) == (None, [])


def test_says_what_is_not_counted(model):
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, inputs):
            return inputs * 2

    before, names = count_gflops(model, (48, 64))
    assert names == []
    layer = model.backbone
    model.backbone = torch.nn.Module()
    model.backbone.forward = lambda x: (Double.apply(layer(x)[0]),)
    model.backbone.layer = layer
    after, names = count_gflops(model, (48, 64))
    assert names == ['Double']
    assert after == pytest.approx(before)
