"""RMPE (ICCV 2017) and SPM (ICCV 2019) for MMPose.

Importing the package registers its components into mmpose's registries::

    custom_imports = dict(imports=['rmpe_spm'], allow_failed_imports=False)
"""

from .engine.mmcv_lite import import_mmcv_ops

import_mmcv_ops()  # before anything imports mmpose's models

from . import codecs, datasets, engine, evaluation, models  # noqa: E402, F401
from .version import __version__  # noqa: E402

__all__ = ['__version__']
