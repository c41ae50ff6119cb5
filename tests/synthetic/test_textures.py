import numpy as np
import pytest

from rmpe_spm.synthetic.textures import (
    crop,
    grain_bank,
    noise_bank,
    octave_noise,
    pattern_bank,
    pattern_mask,
)


def test_banks_are_centred_and_the_same_each_time():
    assert abs(noise_bank().mean() - 128) < 3
    assert abs(grain_bank().mean() - 128) < 6
    assert noise_bank() is noise_bank()


def test_octave_noise_is_smooth_and_sized():
    noise = octave_noise(np.random.default_rng(0), (64, 48), (3, 6), 3)
    assert noise.shape == (48, 64, 3) and noise.dtype == np.uint8
    steps = np.abs(np.diff(noise.astype(int), axis=1))
    assert steps.mean() < 12 and noise.std() > 20


def test_stripes_have_the_period_and_the_direction():
    mask = pattern_mask('stripes', 16, 0, (0.0, 0.0), (40, 64))
    assert set(np.unique(mask)) == {0, 255}
    assert (mask == mask[:, :1]).all()
    np.testing.assert_array_equal(mask[:48], mask[16:])
    assert (mask[:16] != mask[8:24]).mean() > 0.9
    turned = pattern_mask('stripes', 16, 90, (0.0, 0.0), (64, 40))
    assert (turned == turned[:1]).all()


def test_checks_alternate_both_ways():
    bank = pattern_bank('checks')
    np.testing.assert_array_equal(bank[:496], 255 - bank[16:])
    np.testing.assert_array_equal(bank[:, :496], 255 - bank[:, 16:])


def test_unknown_pattern_is_named():
    with pytest.raises(ValueError, match="no pattern is called 'tartan'"):
        pattern_bank('tartan')


def test_crop_is_a_window_or_stretched():
    bank = np.arange(400, dtype=np.uint8).reshape(20, 20)
    window = crop(bank, np.random.default_rng(0), 5, 4)
    assert window.shape == (4, 5)
    assert (np.diff(window.astype(int), axis=1) == 1).all()
    assert crop(bank, np.random.default_rng(0), 30, 10).shape == (10, 30)
