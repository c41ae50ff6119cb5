"""The examples of the pages and of the docstrings run.

A page's ``python`` blocks run one after another, as a reader would run them,
in a folder with the repository's ``configs``. What ``print`` shows is what
the comment beside it, or below it, says. A comment above a block says what
else it is: ``<!-- config -->`` a config, or a part of one;
``<!-- after the demo -->`` it needs files that the demo makes.
"""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import Registry
from mmengine.runner import save_checkpoint
from mmpose import registry
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import KEYPOINT_CODECS, MODELS, TASK_UTILS, TRANSFORMS

import rmpe_spm

REGISTRIES = [r for r in vars(registry).values() if isinstance(r, Registry)]
ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r'(?:<!-- ([^>\n]+) -->\n)?```python\n(.*?)```', re.DOTALL)
PRINT = re.compile(r'^print\(.*\)(?: +|\n)# (.+)$', re.MULTILINE)
CONFIG, DEMO = 'config', 'after the demo'


def _blocks(page):
    return BLOCK.findall(page.read_text(encoding='utf-8'))


PAGES = [
    page
    for page in (ROOT / 'README.md', *sorted(ROOT.glob('docs/**/*.md')))
    if _blocks(page)
]
CONFIGS = [
    pytest.param(code, id=f'{page.relative_to(ROOT)}-{number}')
    for page in PAGES
    for number, (kind, code) in enumerate(_blocks(page), 1)
    if kind == CONFIG
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with the configs, as a checkout has them."""
    (tmp_path / 'configs').symlink_to(ROOT / 'configs')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _make_demo_files(code):
    """What the demo leaves: a picture, and weights, here untrained ones."""
    rmpe_spm.generate_dataset(
        'work_dirs/demo/data', 0, 2, size=(320, 240), progress=False
    )
    pattern = r"'(configs/[^']+)',\s*'(work_dirs/[^']+\.pth)'"
    for config, checkpoint in re.findall(pattern, code):
        model = MODELS.build(Config.fromfile(config).model)
        for stage in getattr(model.head, 'stages', []):
            # people everywhere
            torch.nn.init.constant_(stage.heatmap_layer.bias, 0.5)
        Path(checkpoint).parent.mkdir(parents=True, exist_ok=True)
        coco = dict(from_file='configs/_base_/datasets/coco.py')
        meta = dict(dataset_meta=parse_pose_metainfo(coco))
        save_checkpoint(
            dict(state_dict=model.state_dict(), meta=meta), checkpoint
        )


@pytest.mark.parametrize('page', PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_examples_run(page, folder, capsys):
    names = {}
    for kind, code in _blocks(page):
        assert kind in ('', CONFIG, DEMO)
        if kind == CONFIG:
            continue
        if kind == DEMO:
            _make_demo_files(code)
        capsys.readouterr()
        exec(code, names)
        said = PRINT.findall(code)
        assert len(said) == len(re.findall('^print', code, re.MULTILINE))
        shown = iter(capsys.readouterr().out.splitlines())
        for line in said:
            assert line in shown


def _settings(node):
    """Yield every dict of a config."""
    if isinstance(node, dict):
        yield node
    for item in node.values() if isinstance(node, dict) else node:
        if isinstance(item, dict | list | tuple):
            yield from _settings(item)


@pytest.mark.parametrize('code', CONFIGS)
def test_configs_build(code, folder):
    (folder / 'config.py').write_text(code)
    cfg = Config.fromfile('config.py').to_dict()
    settings = [each for each in _settings(cfg) if 'type' in each]
    named = set(re.findall(r"type='(\w+)'", code))
    assert named <= {each['type'] for each in settings}
    for name in named:
        assert any(known.get(name) for known in REGISTRIES), name
    for each in settings:
        for known in (TASK_UTILS, TRANSFORMS, KEYPOINT_CODECS):
            if each['type'] in named and known.get(each['type']):
                known.build(each)
    if code.startswith('_base_'):
        MODELS.build(cfg['model'])


def test_docstrings_run(folder):
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(verbose=False)
    package = pkgutil.walk_packages(rmpe_spm.__path__, 'rmpe_spm.')
    for info in package:
        module = importlib.import_module(info.name)
        for test in finder.find(module, extraglobs=dict(np=np, torch=torch)):
            runner.run(test)
    assert runner.tries > 0 and runner.failures == 0
