import pytest
from mmengine.dataset import BaseDataset
from mmpose.registry import MODELS, TRANSFORMS

from rmpe_spm.apis.annotation_check import ConfigError, check_detections
from rmpe_spm.apis.tool_errors import explain, told_plainly
from rmpe_spm.engine.checkpoint import load_from_local


def _raised(function, *args):
    try:
        function(*args)
    except Exception as error:
        return error
    raise AssertionError('nothing was raised')


@pytest.mark.parametrize(
    'registry, kind, like',
    [
        (TRANSFORMS, 'PGPGTransfrom', 'PGPGTransform'),
        (TRANSFORMS, 'RandomFlipp', 'RandomFlip'),
        (MODELS, 'SSTNhead', 'SSTNHead'),
        (MODELS, 'HRnet', 'HRNet'),
    ],
)
def test_unregistered_type_suggests_its_like(registry, kind, like):
    message = explain(_raised(registry.build, dict(type=kind)))
    assert repr(kind) in message
    assert like in message.split('Names like it: ')[1].split(', ')


def test_unknown_argument_suggests_its_like():
    config = dict(type='PGPGTransform', mode='jitter', probb=1)
    message = explain(_raised(TRANSFORMS.build, config))
    assert message.startswith("PGPGTransform in the config has no argument 'p")
    assert 'prob' in message.split('Names like it: ')[1].split(', ')
    # of the parents' arguments too
    config = dict(type='GridSampleDEKRHead', in_chanels=1)
    assert 'in_channels' in explain(_raised(MODELS.build, config))


def test_unregistered_type_like_nothing():
    message = explain(_raised(MODELS.build, dict(type='Zzyzx0123456789')))
    assert 'custom_imports' in message
    message = explain(_raised(MODELS.build, dict(type='mmzzyzx.Zzyzx01234')))
    assert 'Zzyzx01234 belongs to mmzzyzx' in message


def test_our_own_errors_are_told(tmp_path):
    error = _raised(check_detections, tmp_path / 'absent.json')
    assert explain(error) == f'{tmp_path / "absent.json"} does not exist'
    error = _raised(load_from_local, str(tmp_path / 'absent.pth'))
    assert explain(error).startswith('checkpoint ')


def test_a_data_set_without_a_good_sample_is_told():
    """What mmengine raises then."""
    dataset = BaseDataset(lazy_init=True, max_refetch=2)
    dataset.__dict__.update(_fully_initialized=True)
    dataset.prepare_data = lambda index: None
    dataset._rand_another = lambda: 0
    error = _raised(dataset.__getitem__, 0)
    assert 'the log says what was wrong' in explain(error)


def test_other_errors_keep_their_traceback():
    for error in (
        _raised(int, 'x'),
        _raised({}.__getitem__, 'key'),
        _raised(lambda: 1 / 0),
        _raised(MODELS.build, dict(no_type=1)),
    ):
        assert explain(error) is None
    with pytest.raises(ZeroDivisionError), told_plainly('tool'):
        1 / 0  # noqa: B018


def test_told_without_traceback(capsys):
    with pytest.raises(SystemExit) as caught, told_plainly('tool.py'):
        raise ConfigError('model.head: wrong. Do this')
    assert caught.value.code == 2
    err = capsys.readouterr().err
    assert err == 'tool.py: error: model.head: wrong. Do this\n'
