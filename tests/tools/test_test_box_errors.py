import pytest
import torch
from mmpose.models import build_pose_estimator

from rmpe_spm.leaderboard import robustness


@pytest.fixture
def tool(load_tool, monkeypatch):
    few = [('shift', 0.0), ('shift', 0.2)]
    few += [('amplification', 1.0), ('amplification', 2.0)]
    monkeypatch.setattr(robustness, 'POINTS', few)
    return load_tool('test_box_errors')


def test_table_and_picture(
    tool, tiny_config, tiny_detections, tmp_path, capsys
):
    tiny_config.test_dataloader.dataset.bbox_file = str(tiny_detections)
    tiny_config.dump(tmp_path / 'tiny.py')
    model = build_pose_estimator(tiny_config.model)
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'tiny.pth')
    pair = [str(tmp_path / 'tiny.py'), str(tmp_path / 'tiny.pth')]
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
def test_wrong_models_are_told(tool, capsys, models, said):
    with pytest.raises(SystemExit) as caught:
        tool.main(models)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err
