import warnings

import numpy as np
import pytest
import torch
from mmpose.datasets.transforms import BottomupResize

from rmpe_spm.spm.postprocessing import (
    best_instances,
    check_test_options,
    fit_to_images,
    image_regions,
    mask_padding,
)
from rmpe_spm.spm.test_time_augmentation import MultiscaleBottomupResize


@pytest.mark.parametrize(
    ('region', 'rows', 'columns'),
    [
        ((0, 0, 32, 20), (0, 5), (0, 8)),
        # 22 pixels end between the cells at 20 and 24, 12 at one
        ((0, 0, 22, 12), (0, 4), (0, 7)),
        # bars at two sides: from cell 1.5 to 5.5 and from cell 1 to 3
        ((6, 4, 22, 12), (1, 4), (1, 7)),
    ],
)
def test_nothing_is_left_in_the_padding(region, rows, columns):
    heatmaps = torch.rand(2, 3, 5, 8) + 1
    masked = mask_padding(heatmaps, [(0, 0, 32, 20), region], (4, 4))
    expected = torch.zeros_like(heatmaps[1])
    part = (slice(None), slice(*rows), slice(*columns))
    expected[part] = heatmaps[1][part]
    assert torch.equal(masked, torch.stack((heatmaps[0], expected)))


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
    # float32 regions may lack a millionth of a pixel
    for off in (0, 1e-5):
        regions = [(off, -off, 32 - off, 20 + off)] * 2
        assert mask_padding(heatmaps, regions, (4, 4)) is heatmaps


def test_an_input_that_does_not_say_what_it_shows_is_all_image():
    meta = dict(input_size=(32, 20))
    assert image_regions([meta]) == [(0, 0, 32, 20)]
    meta.update(input_scale=np.array([64, 64]), input_center=np.zeros(2))
    assert image_regions([meta]) == [(0, 0, 32, 20)]
    # UDP leaves the image at the corner; mmpose does not say how large it is
    resize = BottomupResize((64, 64), use_udp=True)
    image = np.full((50, 100, 3), 255, dtype=np.uint8)
    results = resize(dict(img=image, ori_shape=(50, 100)))
    heatmaps = torch.rand(1, 1, 32, 32)
    regions = image_regions([results])
    assert mask_padding(heatmaps, regions, (2, 2)) is heatmaps


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
        sides = np.array([y1 - y0, x1 - x0])
        assert np.isclose(sides, pixels.shape[:2]).any()


@pytest.mark.parametrize('size', [(8, 6), (4, 3), (16, 10), (7, 5)])
def test_maps_of_the_codecs_stride(size):
    """Which an image of 34 x 20 has with 8 or 9 cells of 4 x 4 pixels."""
    metas, stride = [dict(batch_input_shape=(20, 34))], np.array([4, 4])
    for width in (8, 9):
        heatmaps = torch.rand(1, 1, 5, width)
        assert fit_to_images(heatmaps, metas, stride) is heatmaps
    with pytest.raises(ValueError, match='images of 34x20.*4x4 pixels a cell'):
        fit_to_images(torch.rand(1, 1, *size[::-1]), metas, stride)


def test_best_by_mean_score():
    keypoints = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    scores = np.float32([[0.9, 0.1], [0.6, 0.6], [0.2, 0.8]])
    people = best_instances(([keypoints], [scores]), limit=2)[0]
    np.testing.assert_allclose(people.bbox_scores, [0.6, 0.5], rtol=1e-6)
    # of equal means the first stays first
    assert people.keypoints[:, 0, 0].tolist() == [4, 0]
    assert people.bboxes.tolist() == [[4, 5, 6, 7], [0, 1, 2, 3]]
    np.testing.assert_array_equal(people.keypoint_scores, scores[[1, 0]])


RANGE = dict(pose_size_range=(1, 9), multiscale_test=True)


@pytest.mark.parametrize(
    'test_cfg',
    [
        {},
        dict(flip_test=True, nms_dist_thr=0.05, max_num_people=30),
        dict(nms=None, snap_thr=0.1, snap_distance=0.15, align_corners=False),
        dict(RANGE, nms_dist_thr=0.1),
        dict(multiscale_test=True, max_num_people=90),
    ],
    ids=str,
)
def test_options_that_go_together(test_cfg):
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        check_test_options(test_cfg, 30)


def test_an_unknown_option_is_told():
    with pytest.warns(UserWarning, match='has nms_dist_th, .*nms_dist_thr'):
        check_test_options(dict(nms_dist_th=0.05), 30)


@pytest.mark.parametrize(
    ('test_cfg', 'message'),
    [
        (dict(max_num_people=31), 'decode_max_instances=30'),
        (dict(pose_size_range=(1, 9)), 'needs multiscale_test'),
        (RANGE, 'set `nms_dist_thr`'),
    ],
)
def test_options_that_do_not(test_cfg, message):
    with pytest.raises(ValueError, match=message):
        check_test_options(test_cfg, 30)
