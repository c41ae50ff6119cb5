import json
import os
import sys
import time

import pytest

from rmpe_spm.errors import ConfigError, RunFailedError
from rmpe_spm.experiments import runs as run_folder
from rmpe_spm.experiments.runs import RunFolder


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Write small programs that take the place of the tools."""
    monkeypatch.setattr(run_folder, 'TOOLS', tmp_path)

    def write(name, text):
        (tmp_path / name).write_text(text)

    return write


def folder_of(tmp_path, **inputs):
    return RunFolder(tmp_path / 'run', inputs, 'train.log')


def test_output_is_logged_and_progress_shown(tools, tmp_path, capsys):
    tools(
        'train.py',
        'import sys\nprint("INFO Epoch(train)  [1][2/3]   loss: 4")\n'
        'print("chatter", *sys.argv[1:], file=sys.stderr)',
    )
    run = folder_of(tmp_path, seed=1)
    run.start('train.py', ['--word', 'two words'])
    shown = capsys.readouterr().out
    assert "train.py --word 'two words'\n" in shown
    assert 'run: Epoch(train) [1][2/3] loss: 4\n' in shown
    assert 'chatter' not in shown
    log = run.log.read_text()
    assert "train.py --word 'two words'\n" in log
    assert 'chatter --word two words\n' in log


def test_finished_run_is_remembered(tools, tmp_path):
    tools('train.py', 'import time; time.sleep(0.2)')
    run = folder_of(tmp_path, seed=1)
    assert run.outcome('weights') is None
    run.start('train.py', [])
    (run.folder / 'x.pth').touch()
    assert folder_of(tmp_path, seed=1).outcome('weights') is None
    outcome = run.finish(weights='x.pth', extra=None)
    again = folder_of(tmp_path, seed=1).outcome('weights', 'extra')
    assert again == outcome
    assert again['weights'] == 'x.pth' and again['seconds'] >= 0.2
    # Not once what it made is gone.
    (run.folder / 'x.pth').unlink()
    assert folder_of(tmp_path, seed=1).outcome('weights') is None


def test_run_of_other_inputs_is_moved_aside(tools, tmp_path, capsys):
    tools('train.py', '')
    for seed in (1, 2, 3):
        run = folder_of(tmp_path, seed=seed, config='same')
        assert run.outcome() is None
        run.start('train.py', [])
        run.finish()
    assert 'of another seed: moved to' in capsys.readouterr().out
    for name, seed in (('run.old1', 1), ('run.old2', 2), ('run', 3)):
        state = json.loads((tmp_path / name / 'run.json').read_text())
        assert state['inputs']['seed'] == seed


def test_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / 'run').mkdir()
    folder_of(tmp_path)  # an empty one will do
    (tmp_path / 'run' / 'mine.txt').touch()
    with pytest.raises(ConfigError, match=r'run holds files but no run\.json'):
        folder_of(tmp_path)
    assert (tmp_path / 'run' / 'mine.txt').exists()


def test_failure_names_the_log(tools, tmp_path):
    tools('train.py', 'raise SystemExit("no such net")')
    run = folder_of(tmp_path)
    with pytest.raises(RunFailedError) as caught:
        run.start('train.py', [])
    assert 'no such net' in str(caught.value)
    assert f'exit code 1; its log is {run.log}' in str(caught.value)
    assert folder_of(tmp_path).outcome() is None


def test_interrupt_ends_the_tool_and_keeps_the_time(
    tools, tmp_path, monkeypatch
):
    tools(
        'train.py',
        'import os, time\nprint("Epoch(train)", os.getpid(), flush=True)\n'
        'time.sleep(30)',
    )
    pids = []

    def interrupted(text, **_):
        if 'Epoch' in text:
            pids.append(int(text.split()[-1]))
            raise KeyboardInterrupt

    monkeypatch.setattr('builtins.print', interrupted)
    begin = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        folder_of(tmp_path).start('train.py', [])
    assert time.perf_counter() - begin < 20
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)
    state = json.loads((tmp_path / 'run' / 'run.json').read_text())
    assert state['outcome'] is None and state['seconds'] > 0


def test_missing_tool_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(run_folder, 'TOOLS', tmp_path / 'none')
    with pytest.raises(FileNotFoundError, match='need the tools of the'):
        folder_of(tmp_path).start('train.py', [])


def test_runs_this_python(tools, tmp_path):
    tools('train.py', 'import sys; print(sys.executable)')
    run = folder_of(tmp_path)
    run.start('train.py', [])
    assert sys.executable in run.log.read_text()


def test_time_of_an_earlier_run_counts_only_where_it_is_gone_on_with(
    tools, tmp_path, monkeypatch
):
    tools('train.py', '')
    run = folder_of(tmp_path)
    clock = iter([0.0, 10.0, 20.0, 50.0, 60.0, 65.0])
    monkeypatch.setattr(run_folder.time, 'perf_counter', lambda: next(clock))
    run.start('train.py', [])
    run.start('train.py', [], resumes=True)
    assert run.finish()['seconds'] == 40
    run.start('train.py', [])
    assert run.finish()['seconds'] == 5
