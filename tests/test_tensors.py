"""Levels on one grid, and that no function waits for a device."""

import math

import numpy as np
import pytest
import torch
from device_waits import Waits

from rmpe_spm.rmpe.sdtn import CropFrame, sdtn_outputs
from rmpe_spm.rmpe.spatial_transformer import ThetaCornerLoss
from rmpe_spm.rmpe.theta import mirror_theta
from rmpe_spm.spm.codec import HierarchicalSPRCodec
from rmpe_spm.spm.decoding import PaddedPoses, Snapping, accumulate
from rmpe_spm.spm.kinematics import build_kinematic_tree
from rmpe_spm.spm.test_time_augmentation import (
    merge_flipped,
    merge_scale_poses,
    merge_scales,
)
from rmpe_spm.tensors import (
    add_levels,
    check_levels,
    tensor_on_device_of,
    upsample_level,
)

CODEC = dict(input_size=(128, 128), heatmap_size=(32, 32))


def test_values_dtype_and_device():
    like = torch.zeros(1, dtype=torch.float64)
    found = tensor_on_device_of(np.array([1, 2], np.float32), like)
    assert found.dtype == torch.float64 and found.tolist() == [1, 2]
    index = tensor_on_device_of((3, 0), like, torch.int64)
    assert index.dtype == torch.int64 and index.tolist() == [3, 0]
    assert tensor_on_device_of([True, False], like).tolist() == [1, 0]
    assert tensor_on_device_of([1.0], like.to('meta')).device.type == 'meta'


def maps(*shape):
    return torch.empty(2, *shape, device='meta')


def poses():
    return PaddedPoses(
        maps(30, 17, 2),
        maps(30),
        maps(30, 17),
        maps(30).bool(),
        torch.empty(2, dtype=torch.bool, device='meta'),
    )


def decode(snap_thr=None, **options):
    codec = HierarchicalSPRCodec(
        **CODEC, generate_keypoint_heatmaps=True, **options
    )
    snapping = None if snap_thr is None else Snapping(snap_thr)
    codec.decode_padded(maps(18, 32, 32), maps(34, 32, 32), snapping)


def flip():
    codec = HierarchicalSPRCodec(**CODEC)
    own = maps(18, 32, 32), maps(34, 32, 32)
    indices = [*range(1, 17), 0]
    merge_flipped(own, own, indices, codec.representation, 4.0)


FRAMES = [(128, 128), (256, 256)], [np.array([128.0, 128.0])] * 2


def scales():
    codec = HierarchicalSPRCodec(**CODEC)
    own = [(maps(1, n, n), maps(34, n, n)) for n in (32, 64)]
    merge_scales(own, FRAMES, codec.representation, codec.scale_factor)


THETA = torch.empty(2, 2, 3, device='meta')
FRAME = CropFrame((48, 64))


FUNCTIONS = {
    'decode': decode,
    'decode and snap': lambda: decode(0.1),
    'decode around parents': lambda: decode(displacement_location='parent'),
    'decode and snap around parents': lambda: decode(
        0.1, displacement_location='parent'
    ),
    'accumulate': lambda: accumulate(
        maps(34, 32, 32), build_kinematic_tree('coco')
    ),
    'flip': flip,
    'scales': scales,
    'merge poses': lambda: merge_scale_poses(
        [poses(), poses()], FRAMES, (10, 100)
    ),
    'heatmaps': lambda: sdtn_outputs(maps(17, 16, 12), THETA, FRAME),
    'offset maps': lambda: sdtn_outputs(
        maps(51, 16, 12), THETA, CropFrame((48, 64), True, True)
    ),
    'coordinates': lambda: sdtn_outputs(maps(17, 2), THETA, FRAME),
    'mirror': lambda: mirror_theta(THETA),
    'theta loss': lambda: ThetaCornerLoss()(THETA, THETA),
}


@pytest.mark.parametrize('name', FUNCTIONS)
def test_nothing_waits_for_the_device(name):
    with Waits() as waits:
        FUNCTIONS[name]()
    assert waits.found == []


def levels_of(side, strides=(4, 8, 16, 32)):
    """Sizes of a backbone's levels, each half of the one before."""
    return [(math.ceil(64 / s), math.ceil(side / s)) for s in strides]


def test_a_ramp_stays_a_ramp():
    # cells of the coarse level lie in the middle of two fine ones
    coarse = torch.tensor([1.0, 3.0, 5.0]).reshape(1, 1, 1, 3)
    fine = upsample_level(coarse, (2, 6))
    expected = torch.tensor([1, 1.5, 2.5, 3.5, 4.5, 5]).expand(1, 1, 2, 6)
    torch.testing.assert_close(fine, expected)
    total = add_levels((fine, torch.ones(1, 1, 1, 3)), 'a neck')
    torch.testing.assert_close(total, expected + 1)


@pytest.mark.parametrize('side', range(34, 300, 2))
def test_only_multiples_of_32_fit(side):
    sizes = levels_of(side)
    # 62 pixels make 16 cells as 64 do
    if sizes[0][1] * 4 % 32 == 0:
        return check_levels(sizes, 'a neck')
    with pytest.raises(ValueError, match='a neck.*multiples of 8 times'):
        check_levels(sizes, 'a neck')


def test_levels_are_checked_before_they_are_added():
    feats = torch.rand(1, 2, 12, 28), torch.rand(1, 2, 2, 4)
    with pytest.raises(ValueError, match=r'\(2, 4\).*multiples of 8 times'):
        add_levels(feats, 'a neck')
