"""Compiled models find the same poses."""

import numpy as np
import pytest
import torch
from mmengine.config import Config

from rmpe_spm import PoseInferencer


@pytest.fixture(params=['topdown', 'bottomup'])
def model(request):
    """A small model with random weights, SPM's with a pose NMS inside."""
    model = dict(request.getfixturevalue(request.param))
    if request.param == 'bottomup':
        cfg = Config.fromfile(model['config'])
        cfg.model.test_cfg = dict(nms=dict(type='ParametricPoseNMS'))
        model['config'] = cfg
    return model


def test_compiled_models_find_the_same_poses(model, pictures):
    """Of SPM what is numpy, such as the pose NMS, is run as ever."""
    inferencer = PoseInferencer(**model, batch_size=2)
    paths = sorted(pictures.iterdir())[:2]
    boxes = [[[10, 5, 40, 70], [30, 20, 90, 60]]] * 2
    boxes = boxes if inferencer.is_topdown else None
    expected = list(inferencer(paths, boxes))
    torch.compiler.reset()
    network = inferencer.model
    network = network.backbone if inferencer.is_topdown else network
    network.compile(backend='eager')
    found = list(inferencer(paths, boxes))
    assert sum(map(len, found)) > 3
    for left, right in zip(found, expected, strict=True):
        np.testing.assert_allclose(left.keypoints, right.keypoints, atol=1e-4)
