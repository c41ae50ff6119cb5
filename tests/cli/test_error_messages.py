import pytest
from mmpose.registry import MODELS, TRANSFORMS

from rmpe_spm.cli import error_messages
from rmpe_spm.cli.error_messages import explain, report_user_errors
from rmpe_spm.coco.results import read_detections
from rmpe_spm.engine.checkpoint import load_from_local
from rmpe_spm.errors import ConfigError


def raised(function, *args):
    try:
        function(*args)
    except Exception as error:
        return error
    raise AssertionError('nothing was raised')


@pytest.mark.parametrize(
    'registry, config, said',
    [
        (TRANSFORMS, dict(type='RandomFlipp'), 'RandomFlipp is not in the'),
        (MODELS, dict(type='SSTNhead'), 'SSTNhead is not in the'),
        (
            TRANSFORMS,
            dict(type='PGPGTransform', mode='jitter', probb=1),
            "unexpected keyword argument 'probb'",
        ),
        (TRANSFORMS, dict(type='PGPGTransform', mode='none'), 'mode'),
    ],
)
def test_parts_of_a_config_that_cannot_be_built(registry, config, said):
    assert said in explain(raised(registry.build, config))


def test_our_own_errors_are_told(tmp_path):
    error = raised(read_detections, tmp_path / 'absent.json')
    assert explain(error) == f'there is no file {tmp_path / "absent.json"}'
    error = raised(load_from_local, str(tmp_path / 'absent.pth'))
    assert explain(error).startswith('checkpoint ')


def test_other_errors_keep_their_traceback():
    for error in (
        raised(int, 'x'),
        raised({}.__getitem__, 'key'),
        raised(lambda: 1 / 0),
        ValueError('never raised'),
    ):
        assert explain(error) is None
    with pytest.raises(ZeroDivisionError), report_user_errors('tool'):
        1 / 0  # noqa: B018


@pytest.mark.parametrize(
    'processes, where', [((0, 1), ''), ((1, 2), ' on rank 1')]
)
def test_told_without_traceback(capsys, monkeypatch, processes, where):
    """By every process for itself."""
    monkeypatch.setattr(error_messages, 'get_dist_info', lambda: processes)
    with pytest.raises(SystemExit) as caught, report_user_errors('tool.py'):
        raise ConfigError('model.head: wrong. Do this')
    assert caught.value.code == 2
    err = capsys.readouterr().err
    assert err == f'tool.py: error{where}: model.head: wrong. Do this\n'
