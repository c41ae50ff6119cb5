"""RMPE (ICCV 2017) and SPM (ICCV 2019) for MMPose.

Importing the package registers its components into mmpose's registries::

    custom_imports = dict(imports=['rmpe_spm'], allow_failed_imports=False)
"""

from . import codecs, datasets, engine, evaluation, models  # noqa: F401
from .version import __version__

__all__ = ['__version__']
