"""The tools are no package: their files are imported by path."""

import importlib.util

import pytest


@pytest.fixture(scope='session')
def load_tool(repo_root):
    """Import a file of ``tools/`` by its name."""

    def load(name):
        path = repo_root / 'tools' / f'{name}.py'
        spec = importlib.util.spec_from_file_location(f'tools_{name}', path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
