import numpy as np
import pytest
import torch
from mmpose.registry import MODELS, TRANSFORMS
from mmpose.structures import PoseDataSample
from xtcocotools import mask as cocomask

from rmpe_spm.synthetic.coco_annotations import encode_rle

BOXES = np.array([[20, 30, 60, 90], [100, 10, 180, 130.0]], np.float32)


def sample(visible=(1, 1)):
    """A picture whose red is x and green y; joints on the boxes' corners."""
    y, x = np.mgrid[:150, :200]
    img = np.stack([0 * x, y, x], -1).astype(np.uint8)
    keypoints = BOXES.reshape(2, 2, 2).copy()
    return dict(
        img=img,
        img_shape=(150, 200),
        keypoints=keypoints,
        keypoints_visible=np.repeat(np.float32(visible)[:, None], 2, 1),
        bbox=BOXES.copy(),
        area=np.array([2400, 9600], np.float32),
    )


def transform(**kwargs):
    arguments = dict(
        type='BottomupInstanceAffine',
        input_size=(64, 48),
        picture_size=(100, 100),
        scale_factor=(1.0, 1.0),
        shift_factor=0.0,
        rotate_prob=0.0,
    )
    return TRANSFORMS.build(arguments | kwargs)


@pytest.fixture(autouse=True)
def _seeded():
    np.random.seed(0)  # noqa: NPY002


def test_window_by_hand():
    # only the first person is labelled: its centre (40, 60) becomes the
    # window's, and the picture is shown at 100 / 200 of its size
    results = transform()(sample(visible=(1, 0)))
    expected = (BOXES.reshape(2, 2, 2) - [40, 60]) / 2 + [32, 24]
    np.testing.assert_allclose(results['keypoints'], expected, atol=1e-4)
    assert results['img'].shape == (48, 64, 3)
    assert results['input_size'] == (64, 48)
    green, red = results['img'][24, 32, 1:].astype(int)
    assert abs(red - 40) <= 1 and abs(green - 60) <= 1
    red = results['img'][24, 42, 2].astype(int)
    assert abs(red - 60) <= 1  # ten window pixels are twenty of the picture
    np.testing.assert_allclose(results['area'], [600, 2400], rtol=1e-5)
    # flags beside weights, as mmpose's KeypointConverter gives them
    data = sample(visible=(1, 0))
    flags = data['keypoints_visible']
    data['keypoints_visible'] = np.stack([flags, 0 * flags + 1], axis=2)
    again = transform()(data)
    np.testing.assert_array_equal(again['keypoints'], results['keypoints'])
    assert again['keypoints_visible'].shape == (2, 2, 2)


@pytest.mark.parametrize('scale', [1, 0.5])
def test_who_does_not_fit_is_made_smaller(scale):
    """And varies in size too."""
    draw = transform(padding=1.2, scale_factor=(scale, scale))
    # the second: 80 x 120 in a window of 64 x 48, padded by 1.2: 48 / 144
    low, high = draw(sample(visible=(0, 1)))['keypoints'][1]
    np.testing.assert_allclose(
        high - low, [scale * 80 / 3, scale * 40], rtol=1e-5
    )
    np.testing.assert_allclose((low + high) / 2, [32, 24], atol=1e-4)


def test_shift_and_scale_stay_in_their_bounds():
    draw = transform(scale_factor=(0.5, 0.8), shift_factor=0.25)
    boxes = [draw(sample(visible=(1, 0)))['keypoints'][0] for _ in range(200)]
    low, high = np.swapaxes(boxes, 0, 1)
    shifts = ((low + high) / 2 - [32, 24]) / [64, 48]
    assert 0.2 < np.abs(shifts).max() <= 0.25 + 1e-5
    assert np.abs(shifts.mean(0)).max() < 0.03
    scales = (high - low)[:, 0] / 20
    assert 0.5 <= scales.min() < 0.55 and 0.75 < scales.max() <= 0.8 + 1e-5


def test_each_labelled_person_is_drawn():
    middles = [transform()(sample())['keypoints'].mean(1) for _ in range(40)]
    at_centre = np.isclose(middles, [32, 24], atol=1e-3).all(-1)
    assert (at_centre.sum(1) == 1).all()
    assert 10 < at_centre[:, 0].sum() < 30


def test_a_window_lies_anywhere_where_nobody_is_labelled():
    nobody = [transform()(sample(visible=(0, 0))) for _ in range(50)]
    origins = [results['keypoints'][0, 0] for results in nobody]
    assert np.ptp(origins, axis=0).min() > 40


@pytest.mark.parametrize('direction', ['horizontal', 'vertical', 'diagonal'])
def test_crowds_are_masked_where_they_are_seen(direction):
    """The mask of a mirrored picture covers the crowd's pixels."""
    results = sample()
    results['img'] = np.zeros((150, 200, 3), np.uint8)
    results['img'][40:80, 90:120] = 255
    results['invalid_segs'] = [[[90, 40, 120, 40, 120, 80, 90, 80]]]
    results['flip_indices'] = [0, 1]
    flip = dict(type='RandomFlip', direction=direction, prob=1.0)
    results = TRANSFORMS.build(flip)(results)
    window = transform(input_size=(96, 64), rotate_prob=1.0, shift_factor=0.15)
    mask = dict(type='BottomupGetCrowdMask', get_invalid=True)
    results = TRANSFORMS.build(mask)(window(results))
    seen = results['img'][..., 0] > 127
    masked = results['heatmap_mask'] > 0.5
    assert seen.sum() > 100
    overlap = (seen & masked).sum() / (seen | masked).sum()
    assert overlap > 0.85


def test_perspective_is_refused():
    with pytest.raises(ValueError, match="take 'affine'"):
        transform(transform_mode='perspective')


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
    for segs in ([seg], [[run_lengths('numbers')]]):
        np.testing.assert_array_equal(mask_of(*segs), crowd())
    assert seg == before
    polygon = mask_of(POLYGON)
    assert polygon[4:8, 4:10].all() and polygon.sum() < 90
    both = mask_of(POLYGON, seg)
    np.testing.assert_array_equal(both, np.maximum(polygon, crowd()))
    assert not mask_of().any()


@pytest.mark.parametrize('empty', [[], [[]], [[3, 4, 5, 6]], None])
def test_what_is_no_region_masks_nothing(empty):
    """As converters write it for people without a segmentation."""
    assert not mask_of(empty).any()
    polygon = mask_of(POLYGON)
    for segs in ([empty, POLYGON, empty], [[*(empty or []), *POLYGON]]):
        np.testing.assert_array_equal(mask_of(*segs), polygon)


def test_a_region_of_another_image_is_told():
    seg = dict(run_lengths('numbers'), size=[40, 30])
    with pytest.warns(UserWarning, match=r'\(40, 30\) in an image of'):
        assert not mask_of(seg).any()


def preprocess(*sizes, **config):
    preprocessor = dict(
        type='StrictPoseDataPreprocessor', mean=[10.0] * 3, std=[2.0] * 3
    )
    images = [torch.full((3, h, w), 30, dtype=torch.uint8) for w, h in sizes]
    samples = [PoseDataSample() for _ in sizes]
    data = dict(inputs=images, data_samples=samples)
    return MODELS.build(preprocessor | config)(data)


def test_sizes_that_divide_pass_and_others_name_the_divisor():
    data = preprocess((96, 64), (64, 64))
    assert data['inputs'].shape == (2, 3, 64, 96)
    assert (data['inputs'][0] == 10).all()
    assert data['data_samples'][1].batch_input_shape == (64, 96)
    padded = preprocess((100, 60), pad_size_divisor=32)
    assert padded['inputs'].shape[-2:] == (64, 128)
    preprocess((96, 48), size_divisor=16)
    for size in ((100, 64), (96, 48)):
        with pytest.raises(ValueError, match=r'input is .* multiples of 32 '):
            preprocess(size)
