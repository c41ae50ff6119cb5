import numpy as np
import pytest
from mmpose.registry import TRANSFORMS

from rmpe_spm.spm.transforms import BottomupInstanceAffine

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


def test_flags_beside_weights_are_understood():
    """As mmpose's KeypointConverter gives them."""
    data = sample(visible=(1, 0))
    flags = data['keypoints_visible']
    data['keypoints_visible'] = np.stack([flags, 0 * flags + 1], axis=2)
    results = transform()(data)
    expected = transform()(sample(visible=(1, 0)))
    np.testing.assert_array_equal(results['keypoints'], expected['keypoints'])
    assert results['keypoints_visible'].shape == (2, 2, 2)


def test_who_does_not_fit_is_made_smaller():
    # the second: 80 x 120 in a window of 64 x 48, padded by 1.2: 48 / 144
    results = transform(padding=1.2)(sample(visible=(0, 1)))
    low, high = results['keypoints'][1]
    np.testing.assert_allclose(high - low, [80 / 3, 40], rtol=1e-5)
    np.testing.assert_allclose((low + high) / 2, [32, 24], atol=1e-4)


def test_who_does_not_fit_varies_in_size_too():
    results = transform(padding=1.2, scale_factor=(0.5, 0.5))(
        sample(visible=(0, 1))
    )
    low, high = results['keypoints'][1]
    np.testing.assert_allclose(high - low, [80 / 6, 20], rtol=1e-5)


def test_shift_and_scale_stay_in_their_bounds():
    draw = transform(scale_factor=(0.5, 0.8), shift_factor=0.25)
    np.random.seed(0)  # noqa: NPY002
    centers, scales = [], []
    for _ in range(200):
        low, high = draw(sample(visible=(1, 0)))['keypoints'][0]
        centers.append(((low + high) / 2 - [32, 24]) / [64, 48])
        scales.append((high - low)[0] / 20)
    assert 0.2 < np.abs(centers).max() <= 0.25 + 1e-5
    assert 0.5 <= min(scales) < 0.55 and 0.75 < max(scales) <= 0.8 + 1e-5
    assert np.abs(np.mean(centers, 0)).max() < 0.03


def test_each_labelled_person_is_drawn():
    np.random.seed(0)  # noqa: NPY002
    middles = np.array(
        [transform()(sample())['keypoints'].mean(1) for _ in range(40)]
    )
    at_centre = np.isclose(middles, [32, 24], atol=1e-3).all(-1)
    assert (at_centre.sum(1) == 1).all()
    assert 10 < at_centre[:, 0].sum() < 30


def test_picture_without_labelled_people():
    np.random.seed(0)  # noqa: NPY002
    results = [transform()(sample(visible=(0, 0))) for _ in range(50)]
    origins = np.array([r['keypoints'][0, 0] for r in results])
    assert np.ptp(origins, axis=0).min() > 40


@pytest.mark.parametrize('direction', ['horizontal', 'vertical', 'diagonal'])
def test_crowds_are_masked_where_they_are_seen(direction):
    """The mask of a mirrored picture covers the crowd's pixels."""
    results = sample()
    results['img'] = np.zeros((150, 200, 3), np.uint8)
    results['img'][40:80, 90:120] = 255
    results['invalid_segs'] = [[[90, 40, 120, 40, 120, 80, 90, 80]]]
    results['flip_indices'] = [0, 1]
    np.random.seed(3)  # noqa: NPY002
    steps = [
        dict(type='RandomFlip', direction=direction, prob=1.0),
        dict(
            type='BottomupInstanceAffine',
            input_size=(96, 64),
            picture_size=(100, 100),
        ),
        dict(type='BottomupGetCrowdMask', get_invalid=True),
    ]
    for step in steps:
        results = TRANSFORMS.build(step)(results)
    seen = results['img'][..., 0] > 127
    masked = results['heatmap_mask'] > 0.5
    assert seen.sum() > 100
    overlap = (seen & masked).sum() / (seen | masked).sum()
    assert overlap > 0.85


@pytest.mark.parametrize(
    'bad',
    [
        dict(input_size=(0, 4)),
        dict(picture_size=(4, -1)),
        dict(scale_factor=(0, 1)),
        dict(padding=0),
    ],
)
def test_sizes_that_mean_nothing(bad):
    arguments = dict(input_size=(8, 8), picture_size=(8, 8)) | bad
    with pytest.raises(ValueError, match='must be positive'):
        BottomupInstanceAffine(**arguments)


def test_perspective_is_refused():
    with pytest.raises(ValueError, match="take 'affine'"):
        BottomupInstanceAffine(
            input_size=(8, 8),
            picture_size=(8, 8),
            transform_mode='perspective',
        )
