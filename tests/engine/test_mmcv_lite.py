import subprocess
import sys
import textwrap
from pathlib import Path

from rmpe_spm.engine import mmcv_lite

OPS = """
import importlib

ext = importlib.import_module('mmcv._ext')
assert hasattr(ext, 'carafe')


def carafe(features):
    return ext.carafe(features, scale=2)
"""
# The files alone: the package would import the real stack.
LOADER = """
import importlib.util, sys, types
for name, folder in (('rmpe_spm', sys.argv[1]),
                     ('rmpe_spm.engine', sys.argv[1] + '/engine')):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [folder]
from rmpe_spm.engine import mmcv_lite as lite
"""


def _run_with_fake_mmcv(tmp_path, code, extension=''):
    """Run code where mmcv is a fake that loads operators as mmcv does."""
    package = tmp_path / 'mmcv'
    (package / 'ops').mkdir(parents=True)
    (package / '__init__.py').touch()
    (package / 'ops' / '__init__.py').write_text(OPS)
    if extension:
        (package / '_ext.py').write_text(extension)
    folder = str(Path(mmcv_lite.__file__).parents[1])
    result = subprocess.run(
        [sys.executable, '-c', LOADER + textwrap.dedent(code), folder],
        cwd=tmp_path,
        env={'PYTHONPATH': str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0 and not result.stderr, result.stderr
    return result.stdout


def test_ops_import_and_operators_raise_by_name(tmp_path):
    out = _run_with_fake_mmcv(
        tmp_path,
        """
        assert lite.import_mmcv_ops() is True
        assert lite.import_mmcv_ops() is True
        import mmcv.ops
        # The placeholder is gone: the truth about the extension.
        assert 'mmcv._ext' not in sys.modules
        assert importlib.util.find_spec('mmcv._ext') is None
        try:
            mmcv.ops.carafe([])
        except RuntimeError as error:
            print(error)
        """,
    )
    assert "'carafe' is needed" in out and 'mmcv-lite' in out


def test_compiled_mmcv_is_left_alone(tmp_path):
    out = _run_with_fake_mmcv(
        tmp_path,
        """
        assert lite.import_mmcv_ops() is False
        assert 'mmcv.ops' not in sys.modules
        import mmcv.ops
        print(mmcv.ops.carafe([3]))
        """,
        extension='def carafe(features, scale):\n    return features\n',
    )
    assert out == '[3]\n'


def test_failed_import_leaves_no_placeholder(tmp_path):
    out = _run_with_fake_mmcv(
        tmp_path,
        """
        import pathlib
        pathlib.Path('mmcv/ops/__init__.py').write_text('import absent')
        try:
            lite.import_mmcv_ops()
        except ImportError:
            print('mmcv._ext' in sys.modules)
        """,
    )
    assert out == 'False\n'
