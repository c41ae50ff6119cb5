import numpy as np
import pytest

from rmpe_spm.coco.result_checks import check_sample, check_unique


def sample(num_keypoints=17, **changes):
    poses = dict(
        keypoints=np.zeros((2, num_keypoints, 2)),
        keypoint_scores=np.ones((2, num_keypoints)),
    )
    return dict(img_id=5, pred_instances={**poses, **changes})


def test_joints_and_scores():
    check_sample(sample(), 17)
    check_sample(sample(17), 14, converted_keypoints=14)
    check_sample(sample(keypoints=np.zeros(0), keypoint_scores=None), 17)
    with pytest.raises(ValueError, match='image 5 have no keypoint_scores'):
        check_sample(sample(keypoint_scores=None), 17)
    with pytest.raises(ValueError, match='image 5 have 14 joints, .* has 17'):
        check_sample(sample(14), 17)


@pytest.mark.parametrize('name', [3, [3, 4]])
def test_samples_that_came_twice(name):
    pose = np.zeros((1, 17, 2))
    one = dict(id=name, img_id=5, keypoints=pose)
    others = [
        dict(one, img_id=6),
        dict(one, id=[9]),
        dict(one, keypoints=pose[:0]),
    ]
    check_unique([one, *others])
    with pytest.raises(ValueError, match='image 5: .* came twice'):
        check_unique([one, *others, one])
