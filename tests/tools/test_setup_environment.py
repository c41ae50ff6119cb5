import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def setup(load_tool):
    numbers = signal.SIGTERM, signal.SIGALRM
    before = [signal.getsignal(number) for number in numbers]
    yield load_tool('setup_environment')
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def sandbox(setup, tmp_path, monkeypatch):
    """A checkout in which commands are only noted, or fail."""
    constraints = tmp_path / 'constraints.txt'
    constraints.write_text('torch==1')
    project = '[project]\nname = "x"\n[tool.ruff]\n'
    (tmp_path / 'pyproject.toml').write_text(project)
    monkeypatch.setattr(setup, 'ROOT', tmp_path)
    monkeypatch.setattr(setup, 'CONSTRAINTS', constraints)
    ran, broken = [], []

    def run(*command, advice='', **environ):
        words = [str(part) for part in command]
        if broken and broken[0] in words:
            raise setup.SetupError(f'failed. {advice}')
        ran.append((words, environ))
        if 'venv' in words:
            python = Path(words[-1]) / 'bin' / 'python'
            python.parent.mkdir(parents=True, exist_ok=True)
            python.touch()

    monkeypatch.setattr(setup, 'run', run)
    monkeypatch.setattr(setup, 'imports', lambda python, module: True)
    return setup, tmp_path, ran, broken


def test_it_runs_once_for_what_is_needed(sandbox, capsys):
    setup, root, ran, _ = sandbox
    assert setup.main([]) == 0
    commands = len(ran)
    words = {word for command, _ in ran for word in command}
    assert 'mmcv-lite' in words and 'mmcv' not in words
    assert str(root / '.venv' / 'bin' / 'python') in words
    assert '.venv is ready' in capsys.readouterr().out
    # the linter's settings are no reason
    (root / 'pyproject.toml').write_text('[project]\nname = "x"\n[tool.x]')
    assert setup.main([]) == 0
    assert len(ran) == commands and capsys.readouterr().out == ''
    for number, name in enumerate(('constraints.txt', 'pyproject.toml'), 1):
        (root / name).write_text('torch==2')
        assert setup.main([]) == 0
        # but for the environment itself
        assert len(ran) == commands + number * (commands - 1)


def test_failure_gives_advice_and_the_next_run_continues(sandbox, capsys):
    setup, _, ran, broken = sandbox
    broken.append('--no-deps')
    assert setup.main([]) == 1
    assert 'pip config list' in capsys.readouterr().err
    broken.clear()
    assert setup.main([]) == 0
    assert sum('venv' in words for words, _ in ran) == 1


def test_an_environment_that_is_not_whole_is_made_anew(sandbox, monkeypatch):
    setup, root, ran, _ = sandbox
    python = root / '.venv' / 'bin' / 'python'
    python.parent.mkdir(parents=True)
    python.touch()
    monkeypatch.setattr(setup, 'imports', lambda _, name: name != 'pip')
    assert setup.main([]) == 0
    assert ran[0][0][1:] == ['-m', 'venv', '--clear', str(root / '.venv')]


def test_one_process_at_a_time(sandbox, capsys):
    setup, _, ran, _ = sandbox
    with open(setup.__file__) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        signal.signal(signal.SIGALRM, setup.interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        assert setup.main([]) == 130
        assert not ran and 'Another process' in capsys.readouterr().out
    assert setup.main([]) == 0 and ran


def test_what_runs_ends_with_it(setup):
    """pip, when make is told to end."""
    sleep = 'import time; print("begun", flush=True); time.sleep(99)'
    code = (
        'import sys, setup_environment as tool\n'
        f'tool.set_up = lambda *_: tool.run(sys.executable, "-c", {sleep!r})\n'
        'sys.exit(tool.main([]))'
    )
    process = subprocess.Popen(
        [sys.executable, '-c', code],
        env=dict(os.environ, PYTHONPATH=str(Path(setup.__file__).parent)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == 'begun\n'
    process.terminate()
    # what runs holds the pipe until it ends
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and 'Interrupted' in said


def test_full_compiles_mmcv(sandbox, monkeypatch, capsys):
    setup, root, ran, broken = sandbox
    monkeypatch.setenv('MAX_JOBS', '3')
    monkeypatch.setattr(setup, 'imports', lambda _, name: name != 'mmcv.ops')
    setup.main(['--full'])
    words = {word for command, _ in ran for word in command}
    assert 'mmcv-lite' not in words
    assert str(root / '.venv-full' / 'bin' / 'python') in words
    (environ,) = [environ for words, environ in ran if words[-1] == 'mmcv']
    assert environ['MAX_JOBS'] == '3' and environ['MMCV_WITH_OPS'] == '1'
    broken.append('mmcv')
    (root / 'constraints.txt').write_text('mmcv==3')
    assert setup.main(['--full']) == 1
    assert 'C++ compiler' in capsys.readouterr().err


def test_xtcocotools_without_a_wheel_takes_masks_from_pycocotools(
    sandbox, monkeypatch
):
    setup, root, ran, _ = sandbox
    monkeypatch.setattr(
        setup.subprocess, 'check_output', lambda *args, **kwargs: f'{root}\n'
    )
    (root / 'xtcocotools').mkdir()
    (root / 'xtcocotools' / '_mask.cpython-311.so').touch()
    setup.install_xtcocotools('python')
    words = ran[-1][0]
    assert words[words.index('--target') + 1] == str(root)
    (path,) = (root / 'xtcocotools').iterdir()
    names = {}
    exec(path.read_text(), names)
    from xtcocotools import _mask

    for name in dir(_mask):
        assert name.startswith('_') or name in names


def test_python_is_searched_for(setup, monkeypatch):
    assert setup.find_python((3, 12)) == sys.executable
    probes = []

    def run(command, **kwargs):
        probes.append(command[0])
        # A shim without the version behind it.
        code = 1 if command[0].endswith('3.11') else 0
        return subprocess.CompletedProcess(command, code)

    monkeypatch.setattr(setup.subprocess, 'run', run)
    which = {'python3.11': '/p/3.11', 'python3.10': '/p/3.10'}.get
    assert setup.find_python((3, 14), which) == '/p/3.10'
    assert probes == ['/p/3.11', '/p/3.10']
    with pytest.raises(setup.SetupError, match=r'this is 3\.9.*PYTHON='):
        setup.find_python((3, 9), lambda name: None)


def test_failed_command_is_shown(setup, monkeypatch, capfd):
    monkeypatch.setenv('PYTHONPATH', '/elsewhere')
    code = 'import os, sys; sys.exit(os.environ.get("PYTHONPATH", "kept out"))'
    with pytest.raises(setup.SetupError, match=r'python.* failed\. Do this\.'):
        setup.run(sys.executable, '-c', code, advice='Do this.')
    assert 'kept out' in capfd.readouterr().err
    assert setup.imports(sys.executable, 'json')
    assert not setup.imports(sys.executable, 'no_such_module_here')
