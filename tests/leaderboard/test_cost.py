from types import SimpleNamespace

import pytest
import torch
from mmpose.models import build_pose_estimator

from rmpe_spm.leaderboard import measure as cost
from rmpe_spm.leaderboard.measure import SpeedMeter, count_gflops


class Convolution(torch.nn.Conv2d):
    """A backbone of one layer."""

    def forward(self, inputs):
        return (super().forward(inputs),)


@pytest.fixture
def model(tiny_config):
    """A 3x3 convolution of stride 4, and the head's 1x1 convolution."""
    model = build_pose_estimator(tiny_config.model)
    model.backbone = Convolution(3, 8, 3, stride=4, padding=1)
    return model.eval()


def test_counts_of_a_small_model(model):
    convolution, last = 3 * 3 * 3 * 8, 8 * 17
    # one operation is a multiplication and an addition
    expected = (convolution + last) * 12 * 16
    assert count_gflops(model, (48, 64))[0] * 1e9 == pytest.approx(expected)
    assert count_gflops(model, (96, 64))[0] * 1e9 == pytest.approx(
        2 * expected
    )


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


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets; there is no GPU."""
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(cost.time, 'perf_counter', lambda: now.seconds)
    return now


def measure(clock, batches, model=None):
    """Measure batches of (image ids, seconds of the model)."""
    model = model or torch.nn.Identity()
    runner = SimpleNamespace(model=model)
    meter = SpeedMeter()
    meter.before_test(runner)
    for index, (image_ids, seconds) in enumerate(batches):
        meter.before_test_iter(runner, index)
        clock.seconds += seconds
        model(0)
        clock.seconds += 100  # evaluation and loading don't count
        outputs = [SimpleNamespace(img_id=image_id) for image_id in image_ids]
        meter.after_test_iter(runner, index, outputs=outputs)
    meter.after_test(runner)
    return meter.summary()


@pytest.mark.parametrize(
    'batches, expected',
    [
        # 6 people of 3 images; after the first batch 4 people in 2 s
        ([([1, 1], 50), ([1, 2], 1.5), ([2, 3], 0.5)], 4 / 2 * 3 / 6),
        ([([1, 2], 4)], 0.5),  # a single batch is timed
        ([], None),
    ],
)
def test_images_per_second(clock, batches, expected):
    found = measure(clock, batches)
    assert found['images_per_second'] == pytest.approx(expected)
    assert found['images_per_second_std'] is None
    assert found['peak_memory_mib'] is None


def test_the_spread_of_images_per_second(clock):
    """Over five parts, of two batches each, after the first batch."""
    seconds = [9, 1, 1, 1, 1, 1, 1, 1, 1, 0.4, 0.6]
    found = measure(clock, [([i, i], s) for i, s in enumerate(seconds)])
    # 2, 2, 2, 2 and 4 people a second, two an image
    assert found['images_per_second_std'] == pytest.approx(0.8**0.5 / 2)


def test_watches_the_model_within_a_wrapper_and_lets_go(clock):
    class Wrapper(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.module = torch.nn.Identity()

        def forward(self, x):
            return self.module(x)

    wrapper = Wrapper()
    found = measure(clock, [([1], 9), ([2], 2)], wrapper)
    assert found['images_per_second'] == pytest.approx(0.5)
    assert not wrapper.module._forward_hooks


def test_sizes_of_what_the_model_is_given(clock):
    class Model(torch.nn.Module):
        def forward(self, inputs, data_samples=None):
            return inputs

    model, meter = Model(), SpeedMeter()
    meter.before_test(SimpleNamespace(model=model))
    image = torch.zeros(2, 3, 64, 48)
    model(inputs=image)
    model(inputs=torch.zeros(1, 3, 32, 96))
    model(inputs=[image, torch.zeros(2, 3, 8, 8)])
    assert list(meter.input_sizes) == [
        ((48, 64),),
        ((96, 32),),
        ((48, 64), (8, 8)),
    ]


def test_processes_add_up(clock, monkeypatch):
    def gather(mine):
        other = dict(mine, images={7, 8}, rate=3.0, samples=2, peak=5.0)
        return [dict(mine, peak=9.0), other]

    monkeypatch.setattr(cost, 'all_gather_object', gather)
    found = measure(clock, [([1, 1], 1), ([2, 2], 2)])
    # 1 + 3 people a second, 4 images for 6 people
    assert found['images_per_second'] == pytest.approx(4 * 4 / 6)
    assert found['peak_memory_mib'] == 9.0
