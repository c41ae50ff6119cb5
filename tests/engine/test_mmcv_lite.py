import subprocess
import sys
import textwrap

import pytest


def _run_with_fake_mmcv(tmp_path, code, extension=''):
    """Run code where mmcv is a fake that loads operators as mmcv does."""
    package = tmp_path / 'mmcv'
    (package / 'ops').mkdir(parents=True)
    (package / '__init__.py').write_text('')
    (package / 'ops' / '__init__.py').write_text(
        textwrap.dedent("""
        import importlib

        ext = importlib.import_module('mmcv._ext')
        assert hasattr(ext, 'nms')


        def nms(boxes):
            return ext.nms(boxes, threshold=0.5)
        """)
    )
    if extension:
        (package / '_ext.py').write_text(extension)
    # The module alone: the package would import the real stack.
    loader = """
    import importlib.util, sys, warnings
    spec = importlib.util.spec_from_file_location('lite', sys.argv[1])
    lite = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(lite)
    warnings.simplefilter('always')
    """
    from rmpe_spm.engine import mmcv_lite

    return subprocess.run(
        [
            sys.executable,
            '-c',
            textwrap.dedent(loader) + textwrap.dedent(code),
            mmcv_lite.__file__,
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
            mmcv.ops.nms([])
        except RuntimeError as error:
            print(error)
        """,
    )
    assert result.returncode == 0, result.stderr
    assert "'nms'" in result.stdout and 'mmcv-lite' in result.stdout
    assert result.stderr.count('UserWarning') == 1
    assert 'DEKR' in result.stderr


def test_compiled_mmcv_is_left_alone(tmp_path):
    result = _run_with_fake_mmcv(
        tmp_path,
        """
        assert lite.import_mmcv_ops() is False
        assert 'mmcv.ops' not in sys.modules
        import mmcv.ops
        print(mmcv.ops.nms([3]))
        """,
        extension='def nms(boxes, threshold):\n    return boxes\n',
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
    from rmpe_spm.engine.mmcv_lite import _MissingOperators

    assert not hasattr(_MissingOperators('mmcv._ext'), name)
