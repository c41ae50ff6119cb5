import pytest
import torch
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample


def preprocess(*sizes, **config):
    preprocessor = MODELS.build(
        dict(
            type='StrictPoseDataPreprocessor',
            mean=[10.0] * 3,
            std=[2.0] * 3,
            **config,
        )
    )
    images = [torch.full((3, h, w), 30, dtype=torch.uint8) for w, h in sizes]
    samples = [PoseDataSample() for _ in sizes]
    return preprocessor(dict(inputs=images, data_samples=samples))


def test_sizes_that_divide_pass():
    data = preprocess((96, 64), (64, 64))
    assert data['inputs'].shape == (2, 3, 64, 96)
    assert (data['inputs'][0] == 10).all()
    assert data['data_samples'][1].batch_input_shape == (64, 96)


@pytest.mark.parametrize('size', [(100, 64), (96, 48)])
def test_other_sizes_name_the_divisor(size):
    with pytest.raises(ValueError, match=r'the input is .* multiples of 32 '):
        preprocess(size)
    preprocess((96, 48), size_divisor=16)


def test_padded_images_pass():
    data = preprocess((100, 60), pad_size_divisor=32)
    assert data['inputs'].shape[-2:] == (64, 128)


@pytest.mark.parametrize('divisor', [0, -32, 1.5])
def test_a_divisor_that_is_none(divisor):
    with pytest.raises(ValueError, match='size_divisor must be a positive'):
        preprocess((96, 64), size_divisor=divisor)
