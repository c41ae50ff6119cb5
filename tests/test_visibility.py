import numpy as np

from rmpe_spm.poses import visibility_flags


def test_flags_with_and_without_weights():
    flags = np.array([[2.0, 0.0, 1.0]])
    assert visibility_flags(flags) is flags
    weighted = np.stack((flags, np.ones_like(flags)), axis=-1)
    np.testing.assert_array_equal(visibility_flags(weighted), flags)
    # a view, so that what is changed in the sample is seen
    weighted[0, 1, 0] = 2
    assert visibility_flags(weighted)[0, 1] == 2
