import numpy as np
import pytest
from mmpose.registry import TRANSFORMS

from rmpe_spm.mpii.units import GroupAffine


def sample():
    """A picture whose red is x and green y, a group of two, one joint."""
    y, x = np.mgrid[:200, :100]
    img = np.stack([0 * x, y, x], -1).astype(np.uint8)
    return dict(
        img=img,
        group_bbox=np.array([[20, 30, 60, 130.0]]),
        keypoints=np.array([[[40, 80]], [[20, 30]]], np.float32),
    )


def test_padded_box_by_hand():
    transform = TRANSFORMS.build(
        dict(type='GroupAffine', input_size=(60, 60), padding=1.2)
    )
    results = transform(sample())
    # 40 x 100 about (40, 80), then square and padded: 120
    np.testing.assert_allclose(results['input_center'], [40, 80])
    np.testing.assert_allclose(results['input_scale'], [120, 120])
    assert results['input_size'] == (60, 60)
    expected = np.array([[[30, 30]], [[20, 5]]])
    np.testing.assert_allclose(results['transformed_keypoints'], expected)
    assert results['img'].shape == (60, 60, 3)
    assert abs(int(results['img'][30, 30, 2]) - 40) <= 1
    assert abs(int(results['img'][5, 20, 1]) - 30) <= 1
    # what is each person's stays so
    assert 'bbox_scale' not in results and 'bbox_center' not in results


def test_a_picture_alone_is_shown_as_a_whole():
    picture = dict(img=sample()['img'])
    results = GroupAffine((60, 60))(picture)
    np.testing.assert_allclose(results['input_center'], [50, 100])
    np.testing.assert_allclose(results['input_scale'], [200, 200])
    assert abs(int(results['img'][30, 39, 2]) - 80) <= 1


def test_people_without_a_group():
    with pytest.raises(ValueError, match='needs the "group_bbox"'):
        GroupAffine((8, 8))(dict(bbox=1))
