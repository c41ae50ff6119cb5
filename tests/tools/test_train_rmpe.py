"""The two stages follow one another, and an interrupted run goes on."""

import json

import pytest
import torch

from rmpe_spm.experiments import tool_runs

# Notes its arguments, and ends after the epoch that the test names.
TRAIN = """
import json, shutil, sys
from pathlib import Path
args, here = sys.argv[1:], Path(__file__).parent
folder = Path(args[args.index('--work-dir') + 1])
with open(here / 'calls.txt', 'a') as file:
    file.write(json.dumps([folder.name, *args]) + '\\n')
shutil.copy(here / 'net.pth', folder / 'last.pth')
(folder / 'last_checkpoint').write_text('/elsewhere/last.pth')
raise SystemExit((here / 'fails').exists() and folder.name == 'stage1')
"""


@pytest.fixture
def train(load_tool, tmp_path, monkeypatch):
    """Call the tool; returns the arguments of what it trained."""
    tool = load_tool('train_rmpe')
    monkeypatch.setattr(tool_runs, 'TOOLS', tmp_path)
    torch.save({'weight': torch.ones(1)}, tmp_path / 'net.pth')
    (tmp_path / 'train.py').write_text(TRAIN)
    for name in ('one', 'two'):
        (tmp_path / f'{name}.py').write_text('lr = 1\n')
    calls = tmp_path / 'calls.txt'

    def train(*extra):
        calls.write_text('')
        tool.main(
            [f'{tmp_path}/one.py', f'{tmp_path}/two.py']
            + [f'--work-dir={tmp_path}/work', *extra]
        )
        return [json.loads(line) for line in calls.read_text().splitlines()]

    return train


def test_stage_2_starts_from_stage_1(train, tmp_path):
    """And what is finished is not repeated."""
    work, options = tmp_path / 'work', ('--amp', '--cfg-options', 'lr=2')
    assert train(*options) == [
        ['stage1', f'{tmp_path}/one.py', '--work-dir', f'{work}/stage1']
        + ['--amp', '--cfg-options', 'lr=2'],
        ['stage2', f'{tmp_path}/two.py', '--work-dir', f'{work}/stage2']
        + ['--amp', '--cfg-options', 'lr=2']
        + [f'load_from={work}/stage1/last.pth'],
    ]
    assert train(*options) == []
    (tmp_path / 'two.py').write_text('lr = 1\nseed = 3\n')
    assert [call[0] for call in train(*options)] == ['stage2']


def test_a_failure_stops_and_the_next_command_goes_on(train, tmp_path, capsys):
    (tmp_path / 'fails').touch()
    with pytest.raises(SystemExit):
        train()
    assert 'stage1/train.log' in capsys.readouterr().err
    assert not (tmp_path / 'work' / 'stage2').exists()
    (tmp_path / 'fails').unlink()
    one, two = train()
    assert one[-2:] == ['--resume', f'{tmp_path}/work/stage1/last.pth']
    assert two[-1] == f'load_from={tmp_path}/work/stage1/last.pth'
