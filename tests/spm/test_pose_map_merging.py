import numpy as np
import pytest
import torch

from rmpe_spm.spm.codec import HierarchicalSPRCodec
from rmpe_spm.spm.map_merging import (
    merge_scales,
    resample_maps,
    unflip_displacements,
    unflip_heatmaps,
)

FLIP = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]


def a_person(size):
    rng = np.random.RandomState(0)
    return (np.array(size) / 2 + rng.uniform(-40, 40, (1, 17, 2))).astype(
        np.float32
    )


def mirrored(keypoints, width):
    keypoints = keypoints[:, FLIP].copy()
    keypoints[..., 0] = width - 1 - keypoints[..., 0]
    return keypoints


@pytest.mark.parametrize('size', [(32, 24), (64, 48)])
@pytest.mark.parametrize(
    'options',
    [
        dict(),
        dict(kinematics='coco-flat'),
        dict(displacement_location='parent', tau=9),
        dict(normalizer=None),
    ],
    ids=str,
)
def test_unflipped_displacements_are_those_of_the_original(options, size):
    """A network that is right on both images must agree with itself."""
    codec = HierarchicalSPRCodec(
        (128, 96), size, decode_max_instances=1, **(dict(tau=4) | options)
    )
    keypoints = a_person((128, 96))
    width = codec.input_size[0]
    encoded = codec.encode(mirrored(keypoints, width))
    unflipped = unflip_displacements(
        torch.tensor(encoded['displacements'])[None],
        FLIP,
        codec.starts_from_cell,
        codec.scale_factor[0],
        codec.normalizer,
    )
    root = torch.zeros(1, 1, size[1], size[0])
    x, y = np.rint(keypoints.mean(axis=(0, 1)) / codec.scale_factor)
    root[0, 0, int(y), int(x)] = 1
    decoded, _ = codec.decode(root[0], unflipped[0])
    np.testing.assert_allclose(decoded, keypoints, atol=2e-3)


def test_unflipped_heatmaps():
    stride, width = 4, 16

    def ramp(x):
        return 3 * x + 1

    x = stride * torch.arange(width).float()
    seen = ramp(stride * width - 1 - x).expand(1, 3, 2, width)
    seen = seen * torch.tensor([1.0, 10.0, 100.0])[:, None, None]
    back = unflip_heatmaps(seen, [1, 0], stride)
    expected = ramp(x) * torch.tensor([10.0, 1.0, 100.0])[:, None, None]
    torch.testing.assert_close(
        back[0, :, :, 1:], expected.expand(3, 2, width)[..., 1:]
    )
    plain = unflip_heatmaps(seen, [1, 0], stride, shift=False)
    torch.testing.assert_close(plain, seen[:, [1, 0, 2]].flip(-1))
    root_only = unflip_heatmaps(seen[:, 2:], [1, 0], stride)
    torch.testing.assert_close(root_only, back[:, 2:])


def test_resampled_displacements_point_at_the_same_pose():
    joints = torch.tensor([[7.0, 3.0], [9.5, 5.0]])
    a, b = (0.5, 0.75), (1.5, -1.0)
    z = 5.0
    y, x = torch.meshgrid(
        torch.arange(20.0), torch.arange(24.0), indexing='ij'
    )
    cells = torch.stack((x, y))
    limb = (joints[1] - joints[0])[:, None, None].expand_as(cells)
    seen = torch.cat((joints[0][:, None, None] - cells, limb))[None] / z
    heatmap = (2 * x + 3 * y)[None, None]
    size = (10, 8)
    heatmap, vectors = resample_maps(
        heatmap, seen, [True, False], z, a, b, size
    )
    assert heatmap.shape == (1, 1, 8, 10) and vectors.shape == (1, 4, 8, 10)
    scale, shift = torch.tensor(a), torch.tensor(b)
    wanted = joints * scale + shift
    own = torch.stack(
        torch.meshgrid(torch.arange(10.0), torch.arange(8.0), indexing='xy')
    )
    torch.testing.assert_close(
        own + vectors[0, :2] * z, wanted[0][:, None, None].expand_as(own)
    )
    torch.testing.assert_close(
        vectors[0, 2:] * z,
        (wanted[1] - wanted[0])[:, None, None].expand_as(own),
    )
    # cell (5, 2) shows what was at (7, 4)
    assert heatmap[0, 0, 2, 5].item() == pytest.approx(14 + 12)


def test_resampling_by_nothing_changes_nothing():
    heatmaps, displacements = torch.rand(2, 3, 6, 7), torch.rand(2, 4, 6, 7)
    same = resample_maps(
        heatmaps, displacements, [True, False], 3.0, (1, 1), (0, 0), (7, 6)
    )
    torch.testing.assert_close(same[0], heatmaps)
    torch.testing.assert_close(same[1], displacements)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_scales_of_half_precision_merge_in_float32(dtype):
    """Coordinates of maps wider than 256 cells do not fit into bfloat16."""
    sizes = [(400, 20), (200, 10)]
    maps = [
        (torch.rand(1, 1, h, w).to(dtype), torch.rand(1, 2, h, w).to(dtype))
        for w, h in sizes
    ]
    full = [tuple(each.float() for each in own) for own in maps]
    arguments = (sizes, [np.array([400.0, 20.0])] * 2, [True], np.ones(2), 9.0)
    found = merge_scales(maps, *arguments)
    expected = merge_scales(full, *arguments)
    for own, wanted in zip(found, expected, strict=True):
        assert own.dtype == torch.float32
        torch.testing.assert_close(own, wanted)
