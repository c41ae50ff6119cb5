import numpy as np
from mmpose.registry import TRANSFORMS


def test_regions_of_all_scales():
    transform = TRANSFORMS.build(
        dict(
            type='MultiscaleBottomupResize',
            input_size=(64, 64),
            size_factor=32,
            resize_mode='expand',
            aug_scales=[0.5, 2],
        )
    )
    # a white dot on black shows where a point of the image goes
    image = np.zeros((100, 150, 3), dtype=np.uint8)
    image[40:45, 100:105] = 255
    results = transform(dict(img=image, ori_shape=(100, 150)))
    assert results['aug_input_sizes'] == [(64, 32), (192, 128)]
    # the height fits exactly, the width is padded
    np.testing.assert_allclose(
        results['aug_input_scales'], [(200, 100), (150, 100)]
    )
    sizes = [results['input_size'], *results['aug_input_sizes']]
    scales = [results['input_scale'], *results['aug_input_scales']]
    for shown, size, scale in zip(results['img'], sizes, scales, strict=True):
        weights = shown[..., 0].astype(float)
        y, x = np.mgrid[: shown.shape[0], : shown.shape[1]]
        seen = np.array([(x * weights).sum(), (y * weights).sum()])
        seen /= weights.sum()
        in_image = seen / size * scale + (75, 50) - np.array(scale) / 2
        np.testing.assert_allclose(in_image, (102, 42), atol=1)


def test_one_scale():
    transform = TRANSFORMS.build(
        dict(type='MultiscaleBottomupResize', input_size=(64, 64))
    )
    image = np.zeros((100, 150, 3), dtype=np.uint8)
    results = transform(dict(img=image, ori_shape=(100, 150)))
    assert results['aug_input_sizes'] == []
    assert results['img'].shape == (64, 64, 3)
