import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def setup(load_tool):
    return load_tool('setup_environment')


@pytest.fixture
def sandbox(setup, tmp_path, monkeypatch):
    """A checkout of two steps whose actions only note that they ran."""
    requirements = tmp_path / 'requirements'
    requirements.mkdir()
    for name in ('first', 'second'):
        (requirements / f'{name}.txt').write_text(f'{name}==1\n')
    monkeypatch.setattr(setup, 'ROOT', tmp_path)
    monkeypatch.setattr(setup, 'REQUIREMENTS', requirements)
    ran, broken = [], set()

    def create(self, python):
        self.python.parent.mkdir(parents=True, exist_ok=True)
        self.python.touch()

    def step(name):
        def action(environment):
            if name in broken:
                raise setup.SetupError(f'{name} failed')
            ran.append(name)

        return (name, name, (name,), action)

    monkeypatch.setattr(setup.Environment, 'create', create)
    monkeypatch.setattr(setup, 'verify', lambda environment: None)
    monkeypatch.setattr(
        setup, 'steps', lambda lite: [step('first'), step('second')]
    )
    return setup, requirements, ran, broken


def test_second_run_does_nothing(sandbox, capsys):
    setup, _, ran, _ = sandbox
    assert setup.main([]) == 0
    assert ran == ['first', 'second']
    capsys.readouterr()
    assert setup.main([]) == 0
    assert ran == ['first', 'second']
    assert capsys.readouterr().out == ''


def test_changed_pin_redoes_its_step_only(sandbox):
    setup, requirements, ran, _ = sandbox
    setup.main([])
    (requirements / 'second.txt').write_text('second==2\n')
    setup.main([])
    assert ran == ['first', 'second', 'second']


def test_interrupted_run_continues(sandbox, capsys):
    setup, _, ran, broken = sandbox
    broken.add('second')
    assert setup.main([]) == 1
    assert 'second failed' in capsys.readouterr().err
    broken.clear()
    assert setup.main([]) == 0
    assert ran == ['first', 'second']


def test_damaged_stamps_mean_a_new_run(sandbox, tmp_path):
    setup, _, ran, _ = sandbox
    setup.main([])
    (tmp_path / '.venv' / 'setup_stamps.json').write_text('{"first": ')
    setup.main([])
    assert ran == ['first', 'second'] * 2


def test_failed_pip_shows_log_and_advice(setup, tmp_path):
    environment = setup.Environment(tmp_path)
    environment.python = sys.executable
    with pytest.raises(setup.SetupError) as caught:
        environment.pip_install(
            '--no-index', 'no-such-package-here', advice='Do this.'
        )
    message = str(caught.value)
    assert 'no-such-package-here' in message
    assert str(environment.log) in message
    assert message.endswith('Do this.')


@pytest.mark.parametrize(
    'cores, gigabytes, jobs',
    [(2, 24.0, 2), (16, 6.1, 4), (8, 0.5, 1), (4, None, 4)],
)
def test_compilers_fit_cores_and_memory(setup, cores, gigabytes, jobs):
    assert setup.compile_jobs(cores, gigabytes) == jobs


def test_progress_is_the_last_compiled_file(setup):
    log = '  [1/77] c++ a.cpp\n  warning: [9/9] x\n  [12/77] c++ b.cpp\n  ...'
    assert setup.compile_progress(log) == (12, 77)
    assert setup.compile_progress('Collecting mmcv') is None


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


def test_missing_compiler_names_the_way_out(setup):
    with pytest.raises(setup.SetupError, match='LITE=1'):
        setup.check_compiler(which=lambda name: None)
    with pytest.raises(setup.SetupError, match=r'Python 3\.11'):
        setup.check_compiler(lite=True, which=lambda name: None)


@pytest.mark.parametrize('lite', [False, True])
def test_every_requirement_is_pinned(setup, repo_root, lite):
    """What a step depends on exists, names no registry, and is exact."""
    for _, _, requirements, _ in setup.steps(lite):
        for name in requirements:
            text = (repo_root / 'requirements' / f'{name}.txt').read_text()
            for line in text.splitlines():
                if line and not line.startswith('#'):
                    assert re.match(r'[\w-]+==[\w.]+(; .+)?$', line), line


def test_lite_compiles_nothing(setup):
    by_name = {name: action for name, _, _, action in setup.steps(True)}
    assert by_name['mmcv'] is not setup.install_mmcv
    assert {s[0]: s[3] for s in setup.steps(False)}['mmcv'] is (
        setup.install_mmcv
    )


def test_kept_wheel_of_another_torch_is_built_anew(setup, monkeypatch):
    calls = []

    class Fake:
        def query(self, code):
            return None if code == 'import mmcv.ops' else 'False'

        def pip_install(self, *args, **environ):
            calls.append((args, environ))

    monkeypatch.setenv('MAX_JOBS', '3')
    setup.install_mmcv(Fake())
    assert len(calls) == 2
    assert '--force-reinstall' not in calls[0][0]
    assert {'--force-reinstall', '--no-cache-dir'} <= set(calls[1][0])
    assert calls[0][1]['MAX_JOBS'] == '3'


@pytest.mark.parametrize(
    'cuda, platform, expected',
    [
        ('', 'linux', 'torchvision_cpu.txt'),
        ('12.8', 'linux', 'torchvision.txt'),
        ('', 'darwin', 'torchvision.txt'),
    ],
)
def test_torchvision_fits_torch(setup, monkeypatch, cuda, platform, expected):
    calls = []

    class Fake:
        def query(self, code):
            return cuda

        def pip_install(self, *args):
            calls.extend(args)

    monkeypatch.setattr(setup.sys, 'platform', platform)
    setup.install_torchvision(Fake())
    assert calls[-1].endswith(expected)
    assert '--no-deps' in calls


def test_what_does_not_import_is_named(setup, tmp_path):
    environment = setup.Environment(tmp_path)
    environment.python = Path(sys.executable)
    (tmp_path / 'rmpe_spm.py').write_text('import no_such_module_here')
    with pytest.raises(setup.SetupError, match='no_such_module_here'):
        setup.verify(environment)
