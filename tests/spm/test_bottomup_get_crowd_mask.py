"""What is masked: polygons and run lengths, in every form that COCO has."""

import numpy as np
import pytest
from mmpose.registry import TRANSFORMS
from xtcocotools import mask as cocomask

from rmpe_spm.synthetic.coco_annotations import encode_rle

SHAPE = (30, 40)
POLYGON = [[2, 3, 12, 3, 12, 9, 2, 9]]


def crowd():
    """A region with a hole and a part of its own."""
    region = np.zeros(SHAPE, np.uint8)
    region[10:20, 15:30] = 1
    region[13:15, 20:22] = 0
    region[25:, 38:] = 1
    return region


def mask_of(*segs, **options):
    transform = TRANSFORMS.build(
        dict(type='BottomupGetCrowdMask', get_invalid=True, **options)
    )
    w, h = SHAPE[::-1]
    results = dict(
        img_shape=SHAPE,
        input_size=(w, h),
        warp_mat=np.eye(3)[:2],
        invalid_segs=list(segs),
    )
    return transform(results)['heatmap_mask']


def run_lengths(form):
    region = crowd()
    compressed = cocomask.encode(np.asfortranarray(region))
    if form == 'numbers':
        return encode_rle(region)
    if form == 'text':
        return dict(compressed, counts=compressed['counts'].decode())
    return compressed


@pytest.mark.parametrize('form', ['numbers', 'text', 'bytes'])
def test_run_lengths_are_masked(form):
    seg = run_lengths(form)
    before = dict(seg)
    np.testing.assert_array_equal(mask_of(seg), crowd())
    assert seg == before


def test_with_polygons_and_without_anything():
    polygon = mask_of(POLYGON)
    assert polygon[4:8, 4:10].all() and polygon.sum() < 90
    both = mask_of(POLYGON, run_lengths('numbers'))
    np.testing.assert_array_equal(both, np.maximum(polygon, crowd()))
    assert not mask_of().any()


@pytest.mark.parametrize('empty', [[], [[]], [[3, 4, 5, 6]], None])
def test_what_is_no_region_masks_nothing(empty):
    """As converters write it for people without a segmentation."""
    assert not mask_of(empty).any()
    polygon = mask_of(POLYGON)
    np.testing.assert_array_equal(mask_of(empty, POLYGON, empty), polygon)
    if empty:
        np.testing.assert_array_equal(mask_of([*empty, *POLYGON]), polygon)


def test_a_list_of_run_lengths_is_masked():
    np.testing.assert_array_equal(mask_of([run_lengths('numbers')]), crowd())


def test_a_region_of_another_image_is_told():
    seg = dict(run_lengths('numbers'), size=[40, 30])
    with pytest.warns(UserWarning, match=r'\(40, 30\) in an image of'):
        assert not mask_of(seg).any()
