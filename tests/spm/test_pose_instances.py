import numpy as np
import pytest
import torch
from mmpose.registry import TASK_UTILS

from rmpe_spm.spm.decoding import PaddedPoses
from rmpe_spm.spm.postprocessing import best_instances, unpad_poses


def padded(counts, finite, num_candidates=3):
    """Candidate m of image b: joints at (100 b + 10 m + j, j)."""
    joint = torch.arange(2.0)
    image, candidate = torch.meshgrid(
        torch.arange(float(len(counts))),
        torch.arange(float(num_candidates)),
        indexing='ij',
    )
    x = 100 * image[..., None] + 10 * candidate[..., None] + joint
    return PaddedPoses(
        keypoints=torch.stack((x, joint.expand_as(x)), dim=-1),
        root_scores=0.9 - 0.1 * candidate,
        keypoint_scores=(0.9 - 0.1 * candidate)[..., None] * (1 - 0.5 * joint),
        valid=candidate < torch.tensor(counts)[:, None],
        finite=torch.tensor(finite),
    )


def test_counts_differ_and_values_stay():
    keypoints, scores = unpad_poses(padded([2, 0, 3], [True] * 3), [{}] * 3)
    assert [len(image) for image in keypoints] == [2, 0, 3]
    assert keypoints[0].dtype == scores[0].dtype == np.float32
    assert keypoints[0].tolist() == [
        [[0, 0], [1, 1]],
        [[10, 0], [11, 1]],
    ]
    assert keypoints[2][:, 0, 0].tolist() == [200, 210, 220]
    np.testing.assert_allclose(scores[0], [[0.9, 0.45], [0.8, 0.4]], rtol=1e-6)
    assert keypoints[1].shape == (0, 2, 2) and scores[1].shape == (0, 2)


@pytest.mark.parametrize(
    ('metainfo', 'name'),
    [
        (dict(img_path='a/7.jpg', img_id=7), 'a/7.jpg'),
        (dict(img_id=7), '7'),
        ({}, 'unknown'),
    ],
)
def test_an_image_that_is_not_finite_is_named(metainfo, name):
    poses = padded([1, 0], [True, False])
    with pytest.warns(RuntimeWarning, match=f'image {name} hold NaN'):
        keypoints, _ = unpad_poses(poses, [dict(img_id=1), metainfo])
    assert [len(image) for image in keypoints] == [1, 0]


def test_best_by_mean_score():
    keypoints = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    scores = np.float32([[0.9, 0.1], [0.6, 0.6], [0.2, 0.8]])
    people = best_instances(([keypoints], [scores]), limit=2)[0]
    np.testing.assert_allclose(people.bbox_scores, [0.6, 0.5], rtol=1e-6)
    # of equal means the first stays first
    assert people.keypoints[:, 0, 0].tolist() == [4, 0]
    assert people.bboxes.tolist() == [[4, 5, 6, 7], [0, 1, 2, 3]]
    np.testing.assert_array_equal(people.keypoint_scores, scores[[1, 0]])


def test_nms_sees_each_image_alone():
    nms = TASK_UTILS.build(dict(type='NearbyJointsNMS', dist_thr=0.5))
    pose = np.float32([[0, 0], [10, 0], [0, 10]])
    close = np.stack((pose, pose + 1, pose + 50))
    scores = np.float32([[0.5] * 3, [0.7] * 3, [0.6] * 3])
    poses = ([close, pose[None]], [scores, scores[:1]])
    first, second = best_instances(poses, 30, nms.batch)
    assert first.keypoints[:, 0, 0].tolist() == [1, 50]
    np.testing.assert_allclose(first.bbox_scores, [0.7, 0.6], rtol=1e-6)
    assert second.keypoints[:, 0, 0].tolist() == [0]
    assert len(best_instances(poses, 1, nms.batch)[0]) == 1
