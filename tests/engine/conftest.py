"""mmcv as it is without its compiled operators."""

import importlib

import pytest

from rmpe_spm.engine.mmcv_lite import EXTENSION, Placeholder


@pytest.fixture
def without_operators(monkeypatch):
    """Take mmcv's compiled operators away, where there are some."""

    def take():
        for name in [
            'nms',
            'roi_align',
            'deform_conv',
            'modulated_deform_conv',
        ]:
            module = importlib.import_module(f'mmcv.ops.{name}')
            monkeypatch.setattr(module, 'ext_module', Placeholder(EXTENSION))

    return take
