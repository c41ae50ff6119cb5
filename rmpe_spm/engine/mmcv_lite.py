"""Let mmpose be imported where mmcv has no compiled operators."""

import importlib
import importlib.util
import sys
import warnings
from types import ModuleType

EXTENSION = 'mmcv._ext'


class _MissingOperators(ModuleType):
    """Stands in for mmcv's compiled extension: every operator raises."""

    def __getattr__(self, name: str):
        # Python asks modules for such names; they are no operators.
        if name.startswith('__'):
            raise AttributeError(name)

        def missing(*args, **kwargs):
            raise RuntimeError(
                f'the compiled mmcv operator {name!r} is needed here, but '
                'mmcv-lite is installed: install mmcv 2.1.0 with its '
                'operators (make demo without LITE=1 does)'
            )

        return missing


def import_mmcv_ops() -> bool:
    """Import ``mmcv.ops``, with a placeholder for missing operators.

    mmpose and mmdet import ``mmcv.ops`` unguarded, which fails with
    mmcv-lite although few of their models call a compiled operator. The
    placeholder is in place only while ``mmcv.ops`` is first imported, so
    whoever asks later whether the extension exists hears the truth; a model
    that calls an operator gets an error that names it. Must run before
    mmpose's models are imported. With a compiled mmcv nothing is done.

    Returns:
        bool: Whether the operators are missing.
    """
    if importlib.util.find_spec(EXTENSION) is not None:
        return False
    if 'mmcv.ops' in sys.modules:
        return True
    sys.modules[EXTENSION] = _MissingOperators(EXTENSION)
    try:
        importlib.import_module('mmcv.ops')
    finally:
        del sys.modules[EXTENSION]
    warnings.warn(
        'mmcv has no compiled operators here (mmcv-lite): models that need '
        'them (DEKR, the detectors of mmdet) will not run, all others do'
    )
    return True
