"""The version of rmpe_spm."""

__version__ = '0.1.0'
