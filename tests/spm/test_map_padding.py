import numpy as np
import pytest
import torch
from mmpose.datasets.transforms import BottomupResize

from rmpe_spm.spm.postprocessing import (
    check_map_size,
    image_regions,
    mask_padding,
)
from rmpe_spm.spm.test_time_augmentation import MultiscaleBottomupResize


def test_nothing_is_left_in_the_padding():
    heatmaps = torch.rand(2, 3, 5, 8) + 1
    # 22 pixels end between the cells at 20 and 24, 12 at one
    regions = [(0, 0, 32, 20), (0, 0, 22, 12)]
    masked = mask_padding(heatmaps, regions, (4, 4))
    assert torch.equal(masked[0], heatmaps[0])
    assert torch.equal(masked[1, :, :4, :7], heatmaps[1, :, :4, :7])
    assert (masked[1, :, 4:] == 0).all() and (masked[1, :, :, 7:] == 0).all()


def test_nothing_is_left_in_bars_at_two_sides():
    heatmaps = torch.rand(1, 2, 5, 8) + 1
    # from cell 1.5 to 5.5 and from cell 1 to 3
    (masked,) = mask_padding(heatmaps, [(6, 4, 22, 12)], (4, 4))
    expected = torch.zeros(2, 5, 8)
    expected[:, 1:4, 1:7] = heatmaps[0, :, 1:4, 1:7]
    assert torch.equal(masked, expected)


@pytest.mark.parametrize('scale', [1, 0.5])
def test_a_peak_at_a_border_is_read_as_within(scale):
    """Between cells, at either border and in a coarser map too."""
    region = tuple(scale * side for side in (0, 64, 128, 192))
    y = 4 * torch.arange(int(64 * scale))
    for row in np.linspace(region[1], region[3], 33):
        peak = torch.exp(-(((y - row) / 16) ** 2)).expand(1, 1, 8, -1).mT
        (masked,) = mask_padding(peak, [region], (4, 4))
        cells = [int(row // 4), int(-(-row // 4))]
        assert torch.equal(masked[:, cells], peak[0, :, cells])
        assert masked.count_nonzero() < peak.count_nonzero()


def test_images_of_one_size_are_not_copied():
    heatmaps = torch.rand(2, 1, 5, 8)
    regions = [(0, 0, 32, 20)] * 2
    assert mask_padding(heatmaps, regions, (4, 4)) is heatmaps
    # float32 regions may lack a millionth of a pixel
    regions = [(1e-5, -1e-5, 32 - 1e-5, 20 + 1e-5)] * 2
    assert mask_padding(heatmaps, regions, (4, 4)) is heatmaps


def test_an_input_that_does_not_say_what_it_shows_is_all_image():
    meta = dict(input_size=(32, 20))
    assert image_regions([meta]) == [(0, 0, 32, 20)]
    meta.update(input_scale=np.array([64, 64]), input_center=np.zeros(2))
    assert image_regions([meta]) == [(0, 0, 32, 20)]


@pytest.mark.parametrize('mode', ['fit', 'expand'])
@pytest.mark.parametrize('shape', [(50, 100), (90, 60), (64, 64), (61, 97)])
def test_regions_are_where_the_transform_puts_the_image(mode, shape):
    """A white image with black around it."""
    image = np.full((*shape, 3), 255, dtype=np.uint8)
    resize = MultiscaleBottomupResize(
        (64, 64), aug_scales=[0.5, 2], resize_mode=mode
    )
    results = resize(dict(img=image, ori_shape=shape))
    for scale, pixels in enumerate(results['img']):
        rows, columns = np.nonzero(pixels[..., 0] > 127)
        ((x0, y0, x1, y1),) = image_regions([results], scale)
        found = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        np.testing.assert_allclose((x0, y0, x1, y1), found, atol=1.01)
        assert x1 - x0 == pytest.approx(pixels.shape[1]) or (
            y1 - y0 == pytest.approx(pixels.shape[0])
        )


def test_udp_leaves_the_image_at_the_corner():
    """mmpose does not say there how large it is: nothing is masked."""
    resize = BottomupResize((64, 64), use_udp=True)
    image = np.full((50, 100, 3), 255, dtype=np.uint8)
    results = resize(dict(img=image, ori_shape=(50, 100)))
    heatmaps = torch.rand(1, 1, 32, 32)
    regions = image_regions([results])
    assert mask_padding(heatmaps, regions, (2, 2)) is heatmaps


@pytest.mark.parametrize('size', [(8, 5), (9, 5)])
def test_maps_of_the_codecs_stride(size):
    check_map_size(size, (34, 20), (4.0, 4.0), 'a head')


@pytest.mark.parametrize('size', [(8, 6), (4, 3), (16, 10), (7, 5)])
def test_maps_of_another_stride(size):
    with pytest.raises(ValueError, match=r'a head.*images of 32x20.*4x4 pix'):
        check_map_size(size, (32, 20), (4.0, 4.0), 'a head')
