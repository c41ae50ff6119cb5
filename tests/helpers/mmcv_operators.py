"""Tests beside mmcv's compiled operators, which mmcv-lite lacks."""

import importlib.util

import pytest

needs_mmcv_operators = pytest.mark.skipif(
    importlib.util.find_spec('mmcv._ext') is None,
    reason='mmcv has no compiled operators here',
)
