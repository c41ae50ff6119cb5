import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from rmpe_spm.engine import mmcv_lite


def _run_with_fake_mmcv(tmp_path, code, extension=''):
    """Run code where mmcv is a fake that loads operators as mmcv does."""
    package = tmp_path / 'mmcv'
    (package / 'ops').mkdir(parents=True)
    (package / '__init__.py').write_text('')
    (package / 'ops' / '__init__.py').write_text(
        textwrap.dedent("""
        import importlib

        ext = importlib.import_module('mmcv._ext')
        assert hasattr(ext, 'carafe')


        def carafe(features):
            return ext.carafe(features, scale=2)
        """)
    )
    if extension:
        (package / '_ext.py').write_text(extension)
    # The folder alone: the package would import the real stack.
    loader = """
    import importlib.util, sys, types
    folder = types.ModuleType('engine')
    folder.__path__ = [sys.argv[1]]
    sys.modules['engine'] = folder
    from engine import mmcv_lite as lite
    """

    return subprocess.run(
        [
            sys.executable,
            '-c',
            textwrap.dedent(loader) + textwrap.dedent(code),
            str(Path(mmcv_lite.__file__).parent),
        ],
        cwd=tmp_path,
        env={'PYTHONPATH': str(tmp_path)},
        capture_output=True,
        text=True,
    )


def test_ops_import_and_operators_raise_by_name(tmp_path):
    result = _run_with_fake_mmcv(
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
    assert result.returncode == 0, result.stderr
    assert "'carafe' is needed" in result.stdout
    assert 'mmcv-lite' in result.stdout
    assert result.stderr == ''


def test_compiled_mmcv_is_left_alone(tmp_path):
    result = _run_with_fake_mmcv(
        tmp_path,
        """
        assert lite.import_mmcv_ops() is False
        assert 'mmcv.ops' not in sys.modules
        import mmcv.ops
        print(mmcv.ops.carafe([3]))
        """,
        extension='def carafe(features, scale):\n    return features\n',
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == '[3]'
    assert result.stderr == ''


def test_failed_import_leaves_no_placeholder(tmp_path):
    result = _run_with_fake_mmcv(
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
    assert result.stdout.strip() == 'False', result.stderr


@pytest.mark.parametrize('name', ['__path__', '__file__'])
def test_placeholder_has_no_module_attributes(name):
    assert not hasattr(mmcv_lite.Placeholder('mmcv._ext'), name)
