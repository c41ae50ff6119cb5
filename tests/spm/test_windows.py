import numpy as np
import pytest

from rmpe_spm.spm.targets import window_mask

ONES = np.ones(2)


@pytest.mark.parametrize(('window', 'count'), [('disc', 5), ('square', 9)])
def test_window_mask(window, count):
    centers = np.array([[0.0, 0.0], [5.0, 5.0]])[:, None].repeat(2, axis=1)
    valid = np.array([[False, True], [True, False]])
    mask, corner = window_mask(centers, valid, (8, 8), 1.2, ONES, window)
    assert mask.sum() == count and mask[5, 5] and not mask[0, 0]
    assert corner.sum() == {5: 3, 9: 4}[count]
