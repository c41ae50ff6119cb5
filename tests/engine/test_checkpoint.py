import os
import pickle
from pathlib import Path

import mmengine.runner.checkpoint as runner_checkpoint
import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.optim import OneCycleLR
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader, load_checkpoint
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from rmpe_spm.engine import checkpoint as module
from rmpe_spm.engine.checkpoint import (
    checkpoint_to_resume,
    last_checkpoint,
    load_from_http,
    load_from_local,
)
from rmpe_spm.errors import CorruptCheckpointError, UnsafeCheckpointError


class Hostile:
    """Runs a command when it is unpickled."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


class Stranger:
    """A harmless class that nobody allowed."""


class Bytes:
    """Asks for bytes of its own making."""

    def __reduce__(self):
        return bytes, (10,)


@pytest.fixture
def hostile(tmp_path):
    """A checkpoint that would write a file, and that file."""
    touched = tmp_path / 'touched'
    path = tmp_path / 'hostile.pth'
    torch.save({'state_dict': {}, 'meta': Hostile(f'touch {touched}')}, path)
    return path, touched


@pytest.mark.parametrize(
    'load',
    [
        lambda path: load_from_local(str(path)),
        lambda path: CheckpointLoader.load_checkpoint(str(path)),
        lambda path: load_checkpoint(torch.nn.Linear(1, 1), str(path)),
    ],
)
def test_hostile_checkpoint_is_refused_by_name(hostile, load):
    path, touched = hostile
    with pytest.raises(UnsafeCheckpointError) as caught:
        load(path)
    message = str(caught.value)
    assert str(path) in message
    assert 'posix.system' in message or 'nt.system' in message
    assert not touched.exists()
    # The test can tell: an unguarded load does run it.
    torch.load(path, weights_only=False)
    assert touched.exists()


@pytest.mark.parametrize('zipped', [True, False])
def test_unknown_class_is_refused_by_name(tmp_path, zipped):
    path = tmp_path / 'stranger.pth'
    torch.save(
        {'meta': Stranger(), 'w': torch.ones(2)},
        path,
        _use_new_zipfile_serialization=zipped,
    )
    with pytest.raises(UnsafeCheckpointError, match=r'Stranger'):
        load_from_local(str(path))


def test_plain_pickle_is_refused(tmp_path):
    path = tmp_path / 'plain.pkl'
    touched = tmp_path / 'touched'
    path.write_bytes(pickle.dumps(Hostile(f'touch {touched}'), protocol=2))
    newest = tmp_path / 'next.pth'
    newest.write_bytes(path.read_bytes())
    with pytest.raises(CorruptCheckpointError) as caught:
        load_from_local(str(path))
    said = str(caught.value)
    assert 'is not a file of weights, not opened' in said
    assert 'weights_only' not in said and str(newest) not in said
    assert not touched.exists()


def test_allowing_does_not_open_getattr_or_callables():
    allowed = torch.serialization.get_safe_globals()
    objects = [
        item[0] if isinstance(item, tuple) else item for item in allowed
    ]
    for dangerous in (getattr, eval, exec, os.system, __import__, open):
        assert dangerous not in objects
    ours = {
        item
        for item in objects
        if getattr(item, '__module__', '').split('.')[0]
        not in ('numpy', 'torch')
    }
    assert ours == {
        HistoryBuffer,
        OneCycleParamScheduler,
        module._known_method,
        module._no_bytes,
    }


class Reaches:
    """Reaches an attribute through ``getattr`` when it is unpickled."""

    def __init__(self, owner, name):
        self.call = (owner, name)

    def __reduce__(self):
        return getattr, self.call


@pytest.mark.parametrize(
    'owner, name',
    [
        (HistoryBuffer, '__init__'),
        (HistoryBuffer, 'register_statistics'),
        (HistoryBuffer, '_annealing_cos'),
        (OneCycleParamScheduler, '__init__'),
        (OneCycleParamScheduler, 'mean'),
        (np.ndarray, 'tofile'),
        (torch.Tensor, 'map_'),
    ],
)
def test_getattr_gives_out_known_methods_only(tmp_path, owner, name):
    path = tmp_path / 'reaches.pth'
    torch.save({'meta': Reaches(owner, name)}, path)
    with pytest.raises(UnsafeCheckpointError) as caught:
        load_from_local(str(path))
    assert name in str(caught.value) or 'torch.Tensor' in str(caught.value)


def test_training_state_reads_as_written(tmp_path):
    buffer = HistoryBuffer([1.5, 2.5], [1, 2])
    state = {
        'buffer': buffer,
        'arrays': [
            np.arange(6).reshape(2, 3).astype(dtype)
            for dtype in module._DTYPES.split()
        ],
        'scalars': [np.float64(0.25), np.float32(2), np.int64(3), np.bool_(1)],
    }
    path = tmp_path / 'state.pth'
    torch.save(state, path)
    loaded = load_from_local(str(path))
    np.testing.assert_equal(loaded['arrays'], state['arrays'])
    for mine, theirs in zip(loaded['arrays'], state['arrays'], strict=True):
        assert mine.dtype == theirs.dtype
    assert loaded['scalars'] == state['scalars']
    np.testing.assert_equal(loaded['buffer'].data, buffer.data)
    assert loaded['buffer'].mean() == buffer.mean()


@pytest.mark.parametrize('strategy', ['cos', 'linear'])
def test_one_cycle_schedules_are_read(tmp_path, strategy):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule = OneCycleLR(
        optimizer, eta_max=0.1, total_steps=9, anneal_strategy=strategy
    )
    state = schedule.state_dict()
    path = tmp_path / 'state.pth'
    torch.save({'param_schedulers': [state]}, path)
    assert load_from_local(str(path))['param_schedulers'] == [state]


@pytest.mark.parametrize('core', ['core', '_core'])
def test_arrays_of_either_numpy_are_read(tmp_path, core):
    """Rewrite the name that numpy 1 or 2 would have pickled."""
    path = tmp_path / 'arrays.pth'
    value = np.array([1.0, 2.0])
    torch.save([value, value[0]], path, _use_new_zipfile_serialization=False)
    here = type(value).__reduce__(value)[0].__module__
    data = path.read_bytes().replace(
        here.encode(), f'numpy.{core}.multiarray'.encode()
    )
    path.write_bytes(data)
    array, scalar = load_from_local(str(path))
    np.testing.assert_array_equal(array, value)
    assert scalar == 1.0


def _weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_train_resume_test_and_load_from(tiny_config, tmp_path):
    """Everything that mmengine does with a checkpoint that it wrote."""
    config = tiny_config
    runner = Runner.from_cfg(config)
    runner.train()
    trained = _weights(runner.model)
    saved = tmp_path / 'epoch_1.pth'
    assert saved.is_file()

    config.experiment_name += '_resumed'
    config.resume = True
    config.train_cfg.max_epochs = 2
    resumed = Runner.from_cfg(config)
    resumed.load_or_resume()
    assert resumed.epoch == 1 and resumed.iter == 2
    torch.testing.assert_close(
        _weights(resumed.model), trained, rtol=0, atol=0
    )
    losses = resumed.message_hub.get_scalar('train/loss')
    assert len(losses.data[0]) == 2
    resumed.train()
    assert (tmp_path / 'epoch_2.pth').is_file()
    assert not torch.equal(_weights(resumed.model), trained)

    config.experiment_name += '_tested'
    config.resume = False
    config.load_from = str(saved)
    tester = Runner.from_cfg(config)
    metrics = tester.test()
    assert 'coco/AP' in metrics
    torch.testing.assert_close(_weights(tester.model), trained, rtol=0, atol=0)


def test_truncated_checkpoint_at_auto_resume(tiny_config, tmp_path):
    good = tmp_path / 'epoch_1.pth'
    torch.save({'state_dict': {}}, good)
    path = tmp_path / 'epoch_2.pth'
    path.write_bytes(good.read_bytes()[:-200])
    (tmp_path / 'last_checkpoint').write_text(str(path))
    tiny_config.resume = True
    with pytest.raises(CorruptCheckpointError) as caught:
        Runner.from_cfg(tiny_config).load_or_resume()
    message = str(caught.value)
    assert str(path) in message and 'last_checkpoint' in message
    assert f'--resume {good}' in message


def test_last_checkpoint_names_a_missing_file(tiny_config, tmp_path):
    path = tmp_path / 'epoch_7.pth'
    (tmp_path / 'last_checkpoint').write_text(str(path))
    tiny_config.resume = True
    with pytest.raises(
        FileNotFoundError, match='leave --resume out'
    ) as caught:
        Runner.from_cfg(tiny_config).load_or_resume()
    assert str(path) in str(caught.value)


def test_the_last_checkpoint_is_found(tmp_path):
    assert last_checkpoint(tmp_path) is None
    pointer = tmp_path / 'last_checkpoint'
    pointer.write_text('/elsewhere/epoch_1.pth\n')
    assert last_checkpoint(tmp_path) == Path('/elsewhere/epoch_1.pth')
    # a folder that was moved
    (tmp_path / 'epoch_1.pth').touch()
    assert last_checkpoint(tmp_path) == tmp_path / 'epoch_1.pth'


@pytest.mark.parametrize(
    'content',
    [b'', b'\x80', b'junk5', b'not a checkpoint', b'PK\x03\x04', b'\0' * 64],
)
def test_what_is_no_checkpoint_is_said_to_be_none(tmp_path, content):
    path = tmp_path / 'model.pth'
    path.write_bytes(content)
    what = 'is not a file of weights, not opened'
    if content.startswith(b'PK'):
        what = 'is cut short or damaged'
    said = rf'\({len(content)} bytes\) {what}\. Check the path$'
    with pytest.raises(CorruptCheckpointError, match=said):
        load_from_local(str(path))


@pytest.mark.parametrize('key', ['state_dict', None])
def test_weights_that_are_nan_are_refused(tmp_path, key):
    weights = {'good': torch.ones(2), 'bad': torch.tensor([1.0, np.nan])}
    weights['mask'] = torch.tensor([-np.inf])
    path = tmp_path / 'epoch_2.pth'
    torch.save({key: weights} if key else weights, path)
    good = tmp_path / 'epoch_1.pth'
    torch.save({'state_dict': {}}, good)
    with pytest.raises(CorruptCheckpointError, match='1 of them, bad') as said:
        load_from_local(str(path))
    assert str(said.value).endswith(f'that loads is {good}')


@pytest.mark.parametrize(
    'pointer', [b'', b' \n', b'\0\1\2', b'\xff\xfe', None]
)
def test_a_lost_pointer_stops_a_resume(tmp_path, pointer):
    assert checkpoint_to_resume(tmp_path) is None  # as in a new folder
    for index, name in enumerate(['epoch_1', 'epoch_2', 'best_AP_epoch_2']):
        torch.save({'state_dict': {}}, tmp_path / f'{name}.pth')
        os.utime(tmp_path / f'{name}.pth', (index, index))
    (tmp_path / 'epoch_3.pth').write_bytes(b'PK')
    place = tmp_path / 'last_checkpoint'
    if pointer is not None:
        place.write_bytes(pointer)
    with pytest.raises(CorruptCheckpointError) as caught:
        checkpoint_to_resume(tmp_path)
    said = str(caught.value)
    assert said.startswith(str(place))
    assert f'--resume {tmp_path / "epoch_2.pth"}, or leave --resume' in said
    place.write_text(str(tmp_path / 'epoch_1.pth'))
    assert checkpoint_to_resume(tmp_path) == tmp_path / 'epoch_1.pth'


def test_how_to_get_the_weights_of_imagenet_is_told():
    with pytest.raises(FileNotFoundError, match=r'tools/prepare_backbone\.py'):
        load_from_local('data/none/mobilenet_v2.pth')


def test_every_truncation_is_reported(tmp_path):
    """No length of a cut file escapes as another error."""
    whole = tmp_path / 'whole.pth'
    torch.save({'w': torch.arange(40.0), 'n': np.arange(3)}, whole)
    data = whole.read_bytes()
    path = tmp_path / 'cut.pth'
    for length in range(0, len(data), 97):
        path.write_bytes(data[:length])
        with pytest.raises(CorruptCheckpointError):
            load_from_local(str(path))


@pytest.fixture
def urls(hostile, tmp_path, monkeypatch):
    """The addresses that were fetched; all give the hostile file."""
    fetched = []

    def download(url, destination, progress):
        fetched.append(url)
        Path(destination).write_bytes(hostile[0].read_bytes())

    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    monkeypatch.setattr(torch.hub, 'download_url_to_file', download)
    return fetched


def test_url_is_fetched_once_and_read_safely(urls, hostile):
    url = 'https://example.org/models/hostile.pth?x=1'
    for _ in range(2):
        with pytest.raises(UnsafeCheckpointError, match=r'hub.*hostile\.pth'):
            load_from_http(url)
    assert urls == [url]
    assert not hostile[1].exists()
    loader = CheckpointLoader._get_checkpoint_loader
    assert loader(url) is load_from_http
    assert loader('work_dirs/model.pth') is load_from_local


@pytest.mark.parametrize(
    'name',
    [
        'mmcls://mobilenet_v2',
        'open-mmlab://resnet50_caffe',
        'openmmlab://resnet50_caffe',
        'modelzoo://resnet18',
        'torchvision://resnet18',
    ],
)
def test_names_of_published_weights_are_read_safely(
    urls, hostile, monkeypatch, name
):
    monkeypatch.setattr(
        runner_checkpoint,
        'get_torchvision_models',
        lambda: {'resnet18': 'https://example.org/resnet18.pth'},
    )
    with pytest.raises(UnsafeCheckpointError, match=r'hub.*resnet|mobilenet'):
        CheckpointLoader.load_checkpoint(name)
    assert len(urls) == 1
    assert not hostile[1].exists()


def test_a_skeleton_without_links_or_sigmas_is_read(tmp_path):
    """Empty arrays are pickled with a global of their own."""
    meta = parse_pose_metainfo(
        dict(from_file='configs/_base_/datasets/h36m.py')
    )
    assert len(meta['sigmas']) == 0
    path = tmp_path / 'epoch_1.pth'
    links = np.zeros((0, 3), np.uint8)
    torch.save(dict(dataset_meta=meta, links=links), path)
    loaded = load_from_local(str(path))
    assert len(loaded['dataset_meta']['sigmas']) == 0
    assert loaded['links'].shape == (0, 3)
    # nothing but no bytes
    torch.save(Bytes(), path)
    with pytest.raises((UnsafeCheckpointError, CorruptCheckpointError)):
        load_from_local(str(path))
