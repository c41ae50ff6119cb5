import pytest
import torch

from rmpe_spm.models.utils.map_padding import check_map_size, mask_padding


def test_nothing_is_left_in_the_padding():
    heatmaps = torch.rand(2, 3, 5, 8) + 1
    # 22 pixels reach into the sixth cell of 4 pixels
    masked = mask_padding(heatmaps, [(32, 20), (22, 12)], (4, 4))
    assert torch.equal(masked[0], heatmaps[0])
    assert torch.equal(masked[1, :, :3, :6], heatmaps[1, :, :3, :6])
    assert (masked[1, :, 3:] == 0).all() and (masked[1, :, :, 6:] == 0).all()


def test_images_of_one_size_are_not_copied():
    heatmaps = torch.rand(2, 1, 5, 8)
    assert mask_padding(heatmaps, [(32, 20)] * 2, (4, 4)) is heatmaps


@pytest.mark.parametrize('size', [(8, 5), (9, 5)])
def test_maps_of_the_codecs_stride(size):
    check_map_size(size, (34, 20), (4.0, 4.0), 'a head')


@pytest.mark.parametrize('size', [(8, 6), (4, 3), (16, 10), (7, 5)])
def test_maps_of_another_stride(size):
    with pytest.raises(ValueError, match=r'a head.*images of 32x20.*4x4 pix'):
        check_map_size(size, (32, 20), (4.0, 4.0), 'a head')
