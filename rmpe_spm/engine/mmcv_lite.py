"""Let mmpose and mmdet run where mmcv has no compiled operators."""

import importlib
import importlib.util
import sys
import warnings
from types import ModuleType

from .mmcv_fallbacks import OPERATORS

EXTENSION = 'mmcv._ext'


class Placeholder(ModuleType):
    """Stands in for mmcv's extension; operators without fallback raise."""

    def __getattr__(self, name: str):
        # Python asks modules for such names; they are no operators.
        if name.startswith('__'):
            raise AttributeError(name)

        def operator(*args, **kwargs):
            if name not in OPERATORS:
                raise RuntimeError(
                    f'the compiled mmcv operator {name!r} is needed here, but '
                    'mmcv-lite is installed: install mmcv 2.1.0 with its '
                    'operators (make env FULL=1 does)'
                )
            warnings.warn(
                f'mmcv has no compiled operators here: {name!r} is computed '
                'in plain PyTorch'
            )
            return OPERATORS[name](*args, **kwargs)

        return operator


def import_mmcv_ops() -> bool:
    """Import ``mmcv.ops``, with a placeholder for missing operators.

    mmpose and mmdet import it unguarded, so this must run before their models
    are imported. The placeholder is in place only meanwhile: whoever asks
    later whether the extension exists hears the truth. With a compiled mmcv
    nothing is done. Returns whether the operators are missing.
    """
    if importlib.util.find_spec(EXTENSION) is not None:
        return False
    if 'mmcv.ops' in sys.modules:
        return True
    sys.modules[EXTENSION] = Placeholder(EXTENSION)
    try:
        importlib.import_module('mmcv.ops')
    finally:
        del sys.modules[EXTENSION]
    return True
