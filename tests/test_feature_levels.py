import math

import pytest
import torch

from rmpe_spm.tensors import add_levels, check_levels, upsample_level


def levels_of(side, strides=(4, 8, 16, 32)):
    """Sizes of a backbone's levels, each half of the one before."""
    return [(math.ceil(64 / s), math.ceil(side / s)) for s in strides]


def test_a_ramp_stays_a_ramp():
    # cells of the coarse level lie in the middle of two fine ones
    coarse = torch.tensor([1.0, 3.0, 5.0]).reshape(1, 1, 1, 3)
    fine = upsample_level(coarse, (2, 6))
    expected = torch.tensor([1, 1.5, 2.5, 3.5, 4.5, 5]).expand(1, 1, 2, 6)
    torch.testing.assert_close(fine, expected)
    total = add_levels((fine, torch.ones(1, 1, 1, 3)), 'a neck')
    torch.testing.assert_close(total, expected + 1)


@pytest.mark.parametrize('side', range(34, 300, 2))
def test_only_multiples_of_32_fit(side):
    sizes = levels_of(side)
    # 62 pixels make 16 cells as 64 do
    if sizes[0][1] * 4 % 32 == 0:
        return check_levels(sizes, 'a neck')
    with pytest.raises(ValueError, match='a neck.*multiples of 8 times'):
        check_levels(sizes, 'a neck')


def test_levels_are_checked_before_they_are_added():
    feats = torch.rand(1, 2, 12, 28), torch.rand(1, 2, 2, 4)
    with pytest.raises(ValueError, match=r'\(2, 4\).*multiples of 8 times'):
        add_levels(feats, 'a neck')
