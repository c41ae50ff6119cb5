import os
import pickle
import re
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
    load_from_local,
)
from rmpe_spm.errors import CorruptCheckpointError, UnsafeCheckpointError


class Calls:
    """Calls a function when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class Stranger:
    """A harmless class that nobody allowed."""


@pytest.fixture
def save(tmp_path):
    """Write a checkpoint of some content; return its path."""

    def save(content, name='model.pth', **options):
        torch.save(content, tmp_path / name, **options)
        return tmp_path / name

    return save


@pytest.fixture
def touched(tmp_path):
    """What the hostile checkpoint would write."""
    return tmp_path / 'touched'


@pytest.fixture
def hostile(save, touched):
    call = Calls(os.system, f'touch {touched}')
    return save({'state_dict': {}, 'meta': call}, 'hostile.pth')


@pytest.mark.parametrize(
    'load',
    [
        load_from_local,
        CheckpointLoader.load_checkpoint,
        lambda path: CheckpointLoader.load_checkpoint(f'rmpe_spm://{path}'),
        lambda path: load_checkpoint(torch.nn.Linear(1, 1), path),
    ],
)
def test_hostile_checkpoint_is_refused_by_name(hostile, touched, load):
    said = rf'{re.escape(str(hostile))}.*(posix|nt)\.system'
    with pytest.raises(UnsafeCheckpointError, match=said):
        load(str(hostile))
    assert not touched.exists()
    # The test can tell: an unguarded load does run it.
    torch.load(hostile, weights_only=False)
    assert touched.exists()


@pytest.mark.parametrize('zipped', [True, False])
def test_unknown_class_is_refused_by_name(save, zipped):
    path = save(
        {'meta': Stranger(), 'w': torch.ones(2)},
        _use_new_zipfile_serialization=zipped,
    )
    with pytest.raises(UnsafeCheckpointError, match='Stranger'):
        load_from_local(path)


def test_plain_pickle_is_refused(tmp_path, touched):
    path, newest = tmp_path / 'plain.pkl', tmp_path / 'next.pth'
    for each in (path, newest):
        call = Calls(os.system, f'touch {touched}')
        each.write_bytes(pickle.dumps(call, protocol=2))
    with pytest.raises(CorruptCheckpointError) as caught:
        load_from_local(path)
    said = str(caught.value)
    assert 'is not a file of weights, not opened' in said
    assert 'weights_only' not in said and str(newest) not in said
    assert not touched.exists()


def test_allowing_does_not_open_getattr_or_callables():
    allowed = torch.serialization.get_safe_globals()
    objects = {
        item[0] if isinstance(item, tuple) else item for item in allowed
    }
    assert {
        item
        for item in objects
        if getattr(item, '__module__', '').split('.')[0]
        not in ('numpy', 'torch')
    } == {
        HistoryBuffer,
        OneCycleParamScheduler,
        module._known_method,
        module._no_bytes,
    }


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
def test_getattr_gives_out_known_methods_only(save, owner, name):
    path = save({'meta': Calls(getattr, owner, name)})
    with pytest.raises(UnsafeCheckpointError, match=f'{name}|torch.Tensor'):
        load_from_local(path)


def test_training_state_reads_as_written(save):
    buffer = HistoryBuffer([1.5, 2.5], [1, 2])
    arrays = [
        np.arange(6).reshape(2, 3).astype(dtype)
        for dtype in module._DTYPES.split()
    ]
    scalars = [np.float64(0.25), np.float32(2), np.int64(3), np.bool_(1)]
    loaded = load_from_local(
        save(dict(buffer=buffer, arrays=arrays, scalars=scalars))
    )
    np.testing.assert_equal(loaded['arrays'], arrays)
    assert [a.dtype for a in loaded['arrays']] == [a.dtype for a in arrays]
    assert loaded['scalars'] == scalars
    np.testing.assert_equal(loaded['buffer'].data, buffer.data)
    assert loaded['buffer'].mean() == buffer.mean()


@pytest.mark.parametrize('strategy', ['cos', 'linear'])
def test_one_cycle_schedules_are_read(save, strategy):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    state = OneCycleLR(
        optimizer, eta_max=0.1, total_steps=9, anneal_strategy=strategy
    ).state_dict()
    assert load_from_local(save([state])) == [state]


@pytest.mark.parametrize('core', ['core', '_core'])
def test_arrays_of_either_numpy_are_read(save, core):
    """Rewrite the name that numpy 1 or 2 would have pickled."""
    value = np.array([1.0, 2.0])
    path = save([value, value[0]], _use_new_zipfile_serialization=False)
    here = type(value).__reduce__(value)[0].__module__.encode()
    there = f'numpy.{core}.multiarray'.encode()
    path.write_bytes(path.read_bytes().replace(here, there))
    array, scalar = load_from_local(path)
    np.testing.assert_array_equal(array, value)
    assert scalar == 1.0


def test_a_skeleton_without_links_or_sigmas_is_read(save):
    """Empty arrays are pickled with a global of their own."""
    meta = parse_pose_metainfo(
        dict(from_file='configs/_base_/datasets/h36m.py')
    )
    links = np.zeros((0, 3), np.uint8)
    loaded = load_from_local(save(dict(dataset_meta=meta, links=links)))
    assert len(loaded['dataset_meta']['sigmas']) == len(meta['sigmas']) == 0
    assert loaded['links'].shape == (0, 3)
    # nothing but no bytes
    with pytest.raises((UnsafeCheckpointError, CorruptCheckpointError)):
        load_from_local(save(Calls(bytes, 10)))


def test_a_training_is_resumed(tiny_config):
    """With the weights, the place and the logs that mmengine wrote."""
    runner = Runner.from_cfg(tiny_config)
    runner.train()
    tiny_config.experiment_name += '_resumed'
    tiny_config.resume = True
    resumed = Runner.from_cfg(tiny_config)
    resumed.load_or_resume()
    assert resumed.epoch == 1 and resumed.iter == 2
    trained = runner.model.state_dict()
    for name, value in resumed.model.state_dict().items():
        assert torch.equal(value, trained[name]), name
    losses = resumed.message_hub.get_scalar('train/loss')
    assert len(losses.data[0]) == 2


@pytest.mark.parametrize(
    'there, error, advice',
    [
        (True, CorruptCheckpointError, '--resume {folder}/epoch_1.pth'),
        (False, FileNotFoundError, 'leave --resume out'),
    ],
)
def test_a_pointer_to_a_bad_or_missing_file(
    tiny_config, save, tmp_path, there, error, advice
):
    good = save({'state_dict': {}}, 'epoch_1.pth')
    path = tmp_path / 'epoch_2.pth'
    if there:
        path.write_bytes(good.read_bytes()[:-200])
    (tmp_path / 'last_checkpoint').write_text(str(path))
    tiny_config.resume = True
    with pytest.raises(error) as caught:
        Runner.from_cfg(tiny_config).load_or_resume()
    message = str(caught.value)
    assert str(path) in message and 'last_checkpoint' in message
    assert advice.format(folder=tmp_path) in message


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
        load_from_local(path)


@pytest.mark.parametrize('key', ['state_dict', None])
def test_weights_that_are_nan_are_refused(save, key):
    weights = {'good': torch.ones(2), 'bad': torch.tensor([1.0, np.nan])}
    weights['mask'] = torch.tensor([-np.inf])
    path = save({key: weights} if key else weights)
    good = save({'state_dict': {}}, 'epoch_1.pth')
    said = f'1 of them, bad.*that loads is {re.escape(str(good))}$'
    with pytest.raises(CorruptCheckpointError, match=said):
        load_from_local(path)


@pytest.mark.parametrize(
    'pointer', [b'', b' \n', b'\0\1\2', b'\xff\xfe', None]
)
def test_a_lost_pointer_stops_a_resume(save, tmp_path, pointer):
    assert checkpoint_to_resume(tmp_path) is None  # as in a new folder
    for index, name in enumerate(['epoch_1', 'epoch_2', 'best_AP_epoch_2']):
        os.utime(save({'state_dict': {}}, f'{name}.pth'), (index, index))
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


def test_every_truncation_is_reported(save):
    """No length of a cut file escapes as another error."""
    path = save({'w': torch.arange(40.0), 'n': np.arange(3)})
    data = path.read_bytes()
    for length in range(0, len(data), 97):
        path.write_bytes(data[:length])
        with pytest.raises(CorruptCheckpointError):
            load_from_local(path)


@pytest.fixture
def urls(hostile, tmp_path, monkeypatch):
    """The addresses that were fetched; all give the hostile file."""
    fetched = []

    def download(url, destination, progress):
        fetched.append(url)
        Path(destination).write_bytes(hostile.read_bytes())

    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    monkeypatch.setattr(torch.hub, 'download_url_to_file', download)
    models = {'resnet18': 'https://example.org/resnet18.pth'}
    monkeypatch.setattr(
        runner_checkpoint, 'get_torchvision_models', lambda: models
    )
    return fetched


@pytest.mark.parametrize(
    'name',
    [
        'https://example.org/models/resnet18.pth?x=1',
        'mmcls://mobilenet_v2',
        'open-mmlab://resnet50_caffe',
        'openmmlab://resnet50_caffe',
        'modelzoo://resnet18',
        'torchvision://resnet18',
    ],
)
def test_downloads_happen_once_and_are_read_safely(urls, touched, name):
    for _ in range(2):
        with pytest.raises(UnsafeCheckpointError, match=r'hub.*(resnet|mob)'):
            CheckpointLoader.load_checkpoint(name)
    assert len(urls) == 1 and not touched.exists()
