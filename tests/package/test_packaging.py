"""The wheel that pip builds of a checkout."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser

import pytest
from packaging.requirements import Requirement

import rmpe_spm


@pytest.fixture(scope='module')
def wheel_path(repo_root, tmp_path_factory):
    folder = tmp_path_factory.mktemp('wheel')
    for name in (
        *('pyproject.toml', 'setup.py', 'MANIFEST.in', 'model-index.yml'),
        *('README.md', 'LICENSE', 'NOTICE'),
    ):
        shutil.copy(repo_root / name, folder)
    for name in ('rmpe_spm', 'configs', 'tools'):
        shutil.copytree(
            repo_root / name,
            folder / name,
            ignore=shutil.ignore_patterns('__pycache__'),
        )
    command = [sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps']
    command += ['--no-build-isolation', '-w', 'dist', '.']
    subprocess.run(command, cwd=folder, check=True)
    (path,) = (folder / 'dist').iterdir()
    return path


@pytest.fixture(scope='module')
def wheel(wheel_path):
    """Its files and its metadata."""
    with zipfile.ZipFile(wheel_path) as archive:
        files = set(archive.namelist())
        (name,) = [name for name in files if name.endswith('/METADATA')]
        return files, Parser().parsestr(archive.read(name).decode())


def pins(repo_root):
    """The constraints that hold for this Python, by name."""
    path = repo_root / 'requirements' / 'constraints.txt'
    lines = path.read_text(encoding='utf-8').splitlines()
    lines = [Requirement(line) for line in lines if line and line[0] != '#']
    return {
        line.name.lower(): str(line.specifier)
        for line in lines
        if line.marker is None or line.marker.evaluate()
    }


def test_everything_is_in_the_wheel(wheel, repo_root):
    """And for mim the configs, the tools and their index."""
    for folder in ('rmpe_spm', 'configs', 'tools'):
        for path in repo_root.glob(f'{folder}/**/*'):
            if path.is_file() and '__pycache__' not in path.parts:
                name = path.relative_to(repo_root).as_posix()
                if folder != 'rmpe_spm':
                    name = f'rmpe_spm/.mim/{name}'
                assert name in wheel[0]
    assert 'rmpe_spm/.mim/model-index.yml' in wheel[0]
    for name in ('LICENSE', 'NOTICE'):
        assert any(path.endswith(f'licenses/{name}') for path in wheel[0])


def test_mim_runs_the_tools_of_the_wheel(wheel_path, tmp_path):
    pytest.importorskip('mim')
    with zipfile.ZipFile(wheel_path) as archive:
        archive.extractall(tmp_path / 'installed')
    config = 'spm_mobilenetv2_1xb8-12e_generated-320x256.py'
    command = [sys.executable, '-m', 'mim', 'test', 'rmpe_spm', config]
    done = subprocess.run(
        [*command, '--checkpoint=none.pth', '-y'],
        cwd=tmp_path,
        env=dict(os.environ, PYTHONPATH=str(tmp_path / 'installed')),
        capture_output=True,
        text=True,
    )
    folder = tmp_path / 'installed' / 'rmpe_spm' / '.mim'
    for path in ('tools/test.py', 'configs/spm/generated/' + config):
        assert str(folder / path) in done.stdout
    # the tool ran: it misses data and weights
    assert 'test.py: error: ' in done.stderr


def test_version_is_the_packages(wheel):
    assert wheel[1]['Version'] == rmpe_spm.__version__


def test_constraints_are_exact(repo_root):
    for name, pin in pins(repo_root).items():
        assert re.fullmatch(r'==[\w.]+', pin), name


def test_constraints_are_within_the_declared_ranges(wheel, repo_root):
    """And pin all that is declared."""
    pinned = pins(repo_root)
    extras = wheel[1].get_all('Provides-Extra')
    for line in wheel[1].get_all('Requires-Dist'):
        need = Requirement(line)
        if need.marker is None or any(
            need.marker.evaluate({'extra': extra}) for extra in extras
        ):
            version = pinned[need.name.lower()].removeprefix('==')
            assert need.specifier.contains(version), line
