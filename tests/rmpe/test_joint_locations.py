"""Joints read off a head's outputs: there and back, and their gradient."""

import numpy as np
import pytest
import torch
from mmpose.registry import KEYPOINT_CODECS
from torch.autograd import gradcheck

from rmpe_spm.rmpe.joint_locations import joint_locations, soft_argmax
from rmpe_spm.rmpe.sdtn import CropFrame

SIZE = (48, 64)
MAPS = dict(input_size=SIZE, heatmap_size=(12, 16))
CODECS = {
    'msra': dict(MAPS, type='MSRAHeatmap', sigma=2, unbiased=True),
    'udp': dict(MAPS, type='UDPHeatmap', sigma=2),
    'combined': dict(
        MAPS, type='UDPHeatmap', heatmap_type='combined', radius_factor=0.15
    ),
    'megvii': dict(MAPS, type='MegviiHeatmap', kernel_size=5),
    'simcc': dict(type='SimCCLabel', input_size=SIZE, sigma=4.0),
    'regression': dict(type='RegressionLabel', input_size=SIZE),
}
KEYS = dict(
    simcc=('keypoint_x_labels', 'keypoint_y_labels'),
    regression=('keypoint_labels',),
)


@pytest.mark.parametrize('name', CODECS)
def test_what_a_codec_encodes_is_found(name):
    codec = KEYPOINT_CODECS.build(CODECS[name])
    keypoints = np.array([[[20.0, 30], [14.2, 41.9]]], dtype=np.float32)
    encoded = codec.encode(keypoints, np.ones((1, 2), dtype=np.float32))
    keys = KEYS.get(name, ('heatmaps',))
    outputs = tuple(torch.from_numpy(encoded[key]) for key in keys)
    outputs = outputs if len(outputs) == 2 else outputs[0]
    if name not in KEYS:
        outputs = [outputs[None] * 0, outputs[None] * 0.5]  # two stages
    frame = CropFrame.of_decoder(codec)
    xy, confidence = joint_locations(outputs, frame)
    # Cells are 4 pixels wide; a disc, and Megvii's blurred peak, are coarse.
    atol = {'combined': 2.0, 'megvii': 2.1, 'msra': 0.2, 'udp': 0.2}
    np.testing.assert_allclose(xy, keypoints, atol=atol.get(name, 0.5))
    expected = {'simcc': confidence, 'regression': 1.0, 'megvii': confidence}
    np.testing.assert_allclose(confidence, expected.get(name, 0.5), atol=0.05)
    assert confidence.min() >= 0 and confidence.max() <= 1


def test_nothing_is_found_in_the_middle():
    cells, confidence = soft_argmax(torch.full((1, 2, 5, 9), -1.0))
    assert cells.tolist() == [[[4, 2], [4, 2]]]
    assert confidence.tolist() == [[0, 0]]


def test_gradient():
    torch.manual_seed(0)
    maps = torch.rand(1, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    assert gradcheck(soft_argmax, maps)
