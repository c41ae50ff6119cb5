"""From the command line through the real tools to the report."""

import json

import pytest
import torch


def test_compares_and_goes_on(tool, tiny_config, tmp_path, capsys):
    """A top-down model will do: it finds everybody, as boxes are given."""
    config = tmp_path / 'tiny.py'
    tiny_config.dump(config)
    work_dir = tmp_path / 'compared'
    argv = [f'one={config}', '--seeds', '5', '--work-dir', str(work_dir)]
    tool.main(argv)
    shown = capsys.readouterr().out
    assert 'tools/train.py' in shown and '--no-validate' in shown
    assert '| AP | 0.' in shown
    assert ' joints of 8 people' in shown
    assert (work_dir / 'joint_errors.png').is_file()
    report = (work_dir / 'report.md').read_text()
    assert report in shown
    folder = work_dir / 'one' / 'seed5' / 'train'
    state = torch.load(folder / 'epoch_1.pth', weights_only=True)
    assert state['meta']['epoch'] == 1 and state['meta']['seed'] == 5
    # As if the training had been stopped before its end was recorded.
    record = folder / 'run.json'
    content = json.loads(record.read_text())
    record.write_text(json.dumps(dict(content, outcome=None)))
    tool.main(argv)
    again = capsys.readouterr().out
    assert f'--resume {folder}/epoch_1.pth' in again
    assert 'tools/test.py' not in again and 'is finished' in again
    errors = [line for line in report.splitlines() if 'error of' in line]
    assert all(line in again for line in errors)


@pytest.mark.parametrize(
    'configs, said',
    [
        (['x.py'], 'is not NAME=CONFIG'),
        (['a/b=x.py'], 'is not NAME=CONFIG'),
        (['a=x.py', 'a=y.py'], 'the same name'),
        (['a=absent.py'], 'absent.py does not exist'),
    ],
)
def test_wrong_command_lines_are_told(tool, configs, said, refusal):
    assert said in refusal(tool.main, *configs)
