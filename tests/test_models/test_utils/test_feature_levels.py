import pytest
import torch

from rmpe_spm.models.utils.feature_levels import upsample_level


def test_a_ramp_stays_a_ramp():
    # cells of the coarse level lie in the middle of two fine ones
    coarse = torch.tensor([1.0, 3.0, 5.0]).reshape(1, 1, 1, 3)
    fine = upsample_level(coarse, (2, 6), 'a neck')
    expected = torch.tensor([1, 1.5, 2.5, 3.5, 4.5, 5]).expand(1, 1, 2, 6)
    torch.testing.assert_close(fine, expected)


@pytest.mark.parametrize('size', [(4, 7), (3, 6)])
def test_levels_that_do_not_divide(size):
    with pytest.raises(ValueError, match='a neck.*multiples of'):
        upsample_level(torch.rand(1, 1, 2, 3), size, 'a neck')
