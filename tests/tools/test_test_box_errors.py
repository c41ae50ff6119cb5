import pytest

from rmpe_spm.leaderboard import robustness


@pytest.fixture
def tool(tool, monkeypatch):
    few = [('shift', 0.0), ('shift', 0.2)]
    few += [('amplification', 1.0), ('amplification', 2.0)]
    monkeypatch.setattr(robustness, 'POINTS', few)
    return tool


def test_table_and_picture(
    tool, write_model, tiny_detections, tmp_path, capsys
):
    key = 'test_dataloader.dataset.bbox_file'
    pair = write_model(**{key: str(tiny_detections)})
    argv = [*pair, *pair, '--names', 'one', 'two']
    tool.main([*argv, '--work-dir', str(tmp_path / 'errors')])
    text = (tmp_path / 'errors' / 'results.md').read_text()
    assert capsys.readouterr().out.endswith(text)
    lines = text.splitlines()
    assert lines[0] == '| box error | size | one | two |'
    starts = [line.split(' | ')[0] for line in lines[2:6]]
    assert starts == ['| none', '| shift', *['| amplification'] * 2]
    for line in lines[2:6]:
        assert line.endswith('(+0.000: +0.000 to +0.000) |')
    assert lines[-1].startswith('When the errors double from the detector')
    picture = tmp_path / 'errors' / 'robustness.png'
    assert picture.read_bytes()[1:4] == b'PNG'


@pytest.mark.parametrize(
    'models, said',
    [
        (['a.py'], 'configs each with its checkpoint'),
        (['a.py', 'a.pth', '--names', 'a', 'b'], 'one for each config'),
        (['a.py', 'a.pth'], 'the config a.py does not exist'),
    ],
)
def test_wrong_models_are_told(tool, refusal, models, said):
    assert said in refusal(tool.main, *models)
