"""The two stages follow one another, and an interrupted run goes on."""

from types import SimpleNamespace

import pytest


@pytest.fixture
def tool(load_tool, tmp_path, monkeypatch):
    """The tool, with training replaced by a note of its arguments."""
    module = load_tool('train_rmpe')
    for name, epochs in (('one', 3), ('two', 2)):
        config = f'train_cfg = dict(max_epochs={epochs})'
        (tmp_path / f'{name}.py').write_text(config)
    module.runs, module.epochs = [], {'stage1': 3, 'stage2': 2}

    def run(command, check):
        arguments = command[2:]
        module.runs.append(arguments)
        folder = tmp_path / 'work' / arguments[2].split('/')[-1]
        epoch = module.epochs[folder.name]
        if epoch is None:
            return SimpleNamespace(returncode=7)
        finish(folder, epoch)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(module.subprocess, 'run', run)
    module.call = lambda *extra: module.main(
        [
            str(tmp_path / 'one.py'),
            str(tmp_path / 'two.py'),
            f'--work-dir={tmp_path / "work"}',
            *extra,
        ]
    )
    module.work = tmp_path / 'work'
    return module


def finish(folder, epoch):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f'epoch_{epoch}.pth'
    path.touch()
    (folder / 'last_checkpoint').write_text(str(path))


def test_stage_2_starts_from_stage_1(tool):
    assert tool.call('--amp') == 0
    one, two = tool.runs
    assert one[0].endswith('one.py') and two[0].endswith('two.py')
    assert one[1:] == ['--work-dir', str(tool.work / 'stage1'), '--amp']
    assert two[1:] == [
        '--work-dir',
        str(tool.work / 'stage2'),
        '--amp',
        '--cfg-options',
        f'load_from={tool.work}/stage1/epoch_3.pth',
    ]


def test_given_options_are_kept(tool):
    tool.call('--cfg-options', 'data_root=here')
    assert tool.runs[1][3:] == [
        '--cfg-options',
        f'load_from={tool.work}/stage1/epoch_3.pth',
        'data_root=here',
    ]


def test_finished_stages_are_not_repeated(tool):
    finish(tool.work / 'stage1', 3)
    tool.call()
    assert [run[0][-6:] for run in tool.runs] == ['two.py']
    tool.runs.clear()
    assert tool.call() == 0
    assert tool.runs == []


def test_a_shortened_stage_is_finished_at_its_own_end(tool):
    finish(tool.work / 'stage1', 1)
    finish(tool.work / 'stage2', 1)
    short = ('--cfg-options', 'train_cfg.max_epochs=1')
    assert tool.call(*short) == 0
    assert tool.runs == []


def test_an_interrupted_stage_goes_on(tool):
    finish(tool.work / 'stage1', 3)
    finish(tool.work / 'stage2', 1)
    tool.call()
    assert tool.runs[0][-1] == '--resume'
    assert '--cfg-options' not in tool.runs[0]


def test_a_moved_work_dir_is_found(tool):
    finish(tool.work / 'stage1', 3)
    pointer = tool.work / 'stage1' / 'last_checkpoint'
    pointer.write_text('/elsewhere/stage1/epoch_3.pth')
    tool.call()
    assert f'load_from={tool.work}/stage1/epoch_3.pth' in tool.runs[0]


def test_a_failure_stops(tool):
    tool.epochs['stage1'] = None
    assert tool.call() == 7
    assert len(tool.runs) == 1
