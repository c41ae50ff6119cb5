"""What the comparison of localisers measures."""

import importlib.util
import logging

import pytest
import torch


@pytest.fixture(scope='module')
def tool(repo_root):
    folder = repo_root / 'tools' / 'benchmarks'
    path = folder / 'benchmark_localizers.py'
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    level = logging.root.manager.disable
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        spec.loader.exec_module(module)
    logging.disable(level)
    return module


def test_errors_of_theta_by_hand(tool):
    true = torch.tensor([[0.5, 0.0, 0.0], [1.0, 0.2, 0.0]])
    # half as far to each side again; a tenth of the width to the right
    found = torch.tensor([[0.75, 0.0, 0.0], [1.0, 0.4, 0.0]])
    torch.testing.assert_close(
        tool.side_error(found, true), torch.tensor([0.25, 0.05])
    )
    torch.testing.assert_close(
        tool.crop_iou(found, true), torch.tensor([1 / 2.25, 1.8 / 2.2])
    )
    assert tool.side_error(true, true).tolist() == [0, 0]


def test_what_is_added_is_localizer_and_warps(tool):
    torch.manual_seed(0)
    size, maps = (96, 128), (24, 32)
    light = dict(type='MobileNetV2', widen_factor=0.1, out_indices=(7,))
    localizer = tool.Localizer(light, 1280, 0.5, size)
    assert localizer.sstn.pool_size == (2, 2)
    added = tool.Added(localizer, maps).eval()
    inputs = torch.rand(1, 3, 128, 96)
    with torch.no_grad():
        localizer.sstn.theta_fc.bias.copy_(torch.tensor([2.0, 0.0, 0.0]))
        warped, heatmaps = added(inputs)
        # Seen from twice as far: the middle of the crop in the middle.
        torch.testing.assert_close(
            warped[..., 32:96, 24:72].mean(), inputs.mean(), atol=0.01, rtol=0
        )
    assert warped[..., :30, :].abs().max() == 0
    assert heatmaps.shape == (1, 17, 32, 24)
    gflops, _ = tool.count_gflops(added, size)
    # The STN and the SDTN, 4 operations a value, beside the networks.
    assert gflops * 1e9 > 4 * (3 * 96 * 128 + 17 * 24 * 32)
