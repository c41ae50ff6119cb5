import subprocess
import sys
import textwrap

import pytest
from config_files import read_config
from mmengine.registry import init_default_scope
from mmpose.registry import (
    DATASETS,
    HOOKS,
    KEYPOINT_CODECS,
    METRICS,
    MODELS,
    TASK_UTILS,
    TRANSFORMS,
)

CUSTOM_IMPORTS = (
    "custom_imports = dict(imports=['rmpe_spm'], allow_failed_imports=False)"
)


def _run(code):
    """Run code in a fresh interpreter; return what it prints."""
    result = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', textwrap.dedent(code)],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_config_registers_without_another_import():
    """A config is enough, before and beside mmpose's own models."""
    out = _run(f"""
        from mmengine.config import Config
        from mmengine.registry import init_default_scope
        for _ in range(2):
            Config.fromstring({CUSTOM_IMPORTS!r}, file_format='.py')
        init_default_scope('mmpose')
        from mmpose.registry import MODELS
        print(MODELS.get('SSTNHead').__module__)
        print(MODELS.get('mmpose.SPMHead').__module__)
        print(MODELS.get('HRNet').__module__)
        """)
    assert out.split() == [
        'rmpe_spm.rmpe.sstn_head',
        'rmpe_spm.spm.head',
        'mmpose.models.backbones.hrnet',
    ]


def test_import_beside_mmdet_opens_nothing():
    """No window, no connection, no clash; twice is as good as once."""
    _run(f"""
        import socket, sys

        def refuse(*args, **kwargs):
            raise AssertionError('a connection was opened')

        socket.socket.connect = refuse
        socket.getaddrinfo = refuse
        socket.create_connection = refuse
        import cv2
        for name in ('imshow', 'namedWindow', 'waitKey'):
            setattr(cv2, name, refuse)

        import rmpe_spm
        first = dict(sys.modules)
        toolkits = 'tkinter PyQt5 PyQt6 PySide2 PySide6 gi wx'.split()
        assert not [name for name in toolkits if name in sys.modules]

        from mmengine.config import Config
        from mmdet.utils import register_all_modules
        register_all_modules(init_default_scope=False)
        from mmpose.utils import register_all_modules
        register_all_modules(init_default_scope=True)
        Config.fromstring({CUSTOM_IMPORTS!r}, file_format='.py')
        del sys.modules['rmpe_spm']
        import rmpe_spm as again
        assert again.__version__ == first['rmpe_spm'].__version__

        from mmpose.registry import MODELS
        from mmdet.registry import MODELS as DETECTORS
        assert MODELS.get('SPMHead') is not None
        assert DETECTORS.get('RTMDet') is not None
        assert not [name for name in toolkits if name in sys.modules]
        """)


def test_import_without_compiled_operators():
    """With mmcv-lite the placeholder must come before mmpose's models."""
    out = _run("""
        from importlib.machinery import PathFinder
        find_spec = PathFinder.find_spec

        def without_operators(name, *args):
            return None if name == 'mmcv._ext' else find_spec(name, *args)

        PathFinder.find_spec = without_operators
        import rmpe_spm
        import importlib.util
        import sys
        from rmpe_spm.engine.mmcv_lite import import_mmcv_ops
        assert import_mmcv_ops()
        # the placeholder is gone: the truth about the extension
        assert 'mmcv._ext' not in sys.modules
        assert importlib.util.find_spec('mmcv._ext') is None
        import mmpose.models
        import torch
        from mmcv.ops import nms, soft_nms
        boxes = torch.tensor([[0.0, 0, 4, 4], [1, 0, 4, 4]])
        print(nms(boxes, torch.ones(2), 0.5)[1].tolist())
        try:
            soft_nms(boxes, torch.ones(2))
        except RuntimeError as error:
            print(error)
        """)
    assert out.startswith('[0]') and "'softnms' is needed here" in out


def test_import_names_what_is_missing():
    out = _run("""
        from importlib.machinery import PathFinder
        find_spec = PathFinder.find_spec

        def without(name, *args):
            if name not in ('mmengine', 'mmpose'):
                return find_spec(name, *args)

        PathFinder.find_spec = without
        try:
            import rmpe_spm
        except ImportError as error:
            print(error)
        """)
    assert out.startswith('rmpe_spm needs mmengine, mmpose')
    assert '--no-deps mmengine mmcv-lite mmdet mmpose' in out


@pytest.fixture(scope='module')
def configs(repo_root):
    """Every config of the repository, read once."""
    paths = sorted(repo_root.glob('configs/**/*.py'))
    paths = [path for path in paths if '_base_' not in path.parts]
    return {path: read_config(path) for path in paths}


def test_every_config_parses(configs):
    """And registers us, in mmpose's scope, and trains and tests something."""
    assert configs
    for path, cfg in configs.items():
        imports = cfg.get('custom_imports', {}).get('imports', [])
        assert 'rmpe_spm' in imports, path
        assert cfg.default_scope == 'mmpose', path
        for key in ('model', 'train_dataloader', 'test_dataloader'):
            assert key in cfg, (path, key)
        assert cfg.train_cfg.max_epochs > 0, path
        saving = cfg.default_hooks.checkpoint.type
        assert saving == 'SafeCheckpointHook', path


def _types(node, key=None):
    """Yield the types of what a config builds, with the key they are for."""
    if isinstance(node, dict):
        if isinstance(node.get('type'), str):
            yield key, node['type']
        for name, value in node.items():
            # In these, ``type`` is no registered name.
            if name not in ('metainfo', 'dataset_info', 'keypoint_info'):
                yield from _types(value, name)
    elif isinstance(node, list | tuple):
        for item in node:
            yield from _types(item, key)


@pytest.mark.parametrize(
    'registry, keys',
    [
        (HOOKS, {'custom_hooks'}),
        (TRANSFORMS, {'pipeline'}),
        (METRICS, {'val_evaluator', 'test_evaluator'}),
        (DATASETS, {'dataset', 'datasets'}),
        (KEYPOINT_CODECS, {'encoder', 'decoder'}),
        (MODELS, {'model', 'backbone', 'neck', 'head', 'sppe', 'localizer'}),
        (TASK_UTILS, {'nms'}),
    ],
)
def test_what_configs_name_is_registered(configs, registry, keys):
    init_default_scope('mmpose')
    found = set()
    for cfg in configs.values():
        for key, name in _types(cfg._cfg_dict.to_dict()):
            if key in keys and not name.startswith('mmpretrain.'):
                found.add(name)
    assert found
    assert not [name for name in sorted(found) if registry.get(name) is None]
