"""Real data, and what is logged."""

import json

import pytest


@pytest.fixture
def logged(monkeypatch):
    """What a module logs from now on."""

    def logged(module):
        lines = []
        monkeypatch.setattr(
            module, 'print_log', lambda text, *_, **__: lines.append(text)
        )
        return lines

    return logged


@pytest.fixture(scope='session')
def fixture_files(shared_dir):
    """Read real annotations and results by their names."""
    folder = shared_dir / 'data' / 'evaluator_fixtures'

    def read(*names):
        return [json.loads((folder / f'{n}.json').read_text()) for n in names]

    read.folder = folder
    return read


@pytest.fixture(scope='session')
def example(fixture_files):
    """The annotation file and the results of COCO's reference example."""
    (results,) = fixture_files('example_coco_preds')
    return str(fixture_files.folder / 'example_coco_val.json'), results
