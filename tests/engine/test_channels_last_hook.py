from types import SimpleNamespace

import torch
from torch import nn

from rmpe_spm.engine.hooks import ChannelsLastHook


def test_converts_weights_and_keeps_values():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
    image = torch.randn(2, 3, 9, 9)
    expected = model(image)
    assert not model[0].weight.is_contiguous(memory_format=torch.channels_last)
    ChannelsLastHook().before_run(SimpleNamespace(model=model))
    for conv in (model[0], model[2]):
        assert conv.weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(model(image), expected)
